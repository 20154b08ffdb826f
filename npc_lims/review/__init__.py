"""What a pull request or two commits change, compared and put so that a person can judge it."""
