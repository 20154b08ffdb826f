"""The static site about sessions."""
