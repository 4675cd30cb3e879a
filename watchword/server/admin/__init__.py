"""What an operator may do: typed commands and an audit log. Deliberately absent: administration by messages in a room."""
