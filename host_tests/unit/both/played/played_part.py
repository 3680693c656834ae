"""What the app imports."""

VALUE = True
