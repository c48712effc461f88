"""What the engine makes of the kernels: pictures of strategies and of volatility, and the minutes that are kept."""
