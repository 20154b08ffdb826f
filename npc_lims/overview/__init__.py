"""How far sessions are, how old what is known of them is, and what needs attention. Pure."""
