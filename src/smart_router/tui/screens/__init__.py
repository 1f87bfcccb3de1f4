"""What opens above the chat; Esc closes each of them."""
