"""Bridges to other people's programs, one file or folder per ecosystem. Nothing below imports them."""
