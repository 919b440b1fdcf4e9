"""`penstock models`: what is registered, and what is done to it by hand or by a script."""
