"""A trained network on whole numbers: what is shipped, and the arithmetic that every form of it keeps to."""
