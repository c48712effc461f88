"""Everything that happens without a screen: domain, market data, analytics, orders, portfolio, local door."""
