"""Modal dialogs. Enter and Esc always cancel; what a dialog agrees to is given back to its opener."""
