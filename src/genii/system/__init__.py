"""What genii asks of the operating system: plain functions, tested for real."""
