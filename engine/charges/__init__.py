"""What trading costs besides the price: dated rates, and their arithmetic to the paisa."""
