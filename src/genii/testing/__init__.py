"""Public fakes for the tests of your own programs; nothing else in genii uses them."""
