"""The one grammar of command bar, scripts and server. Asks the world through ``resolver``; imports the domain only."""
