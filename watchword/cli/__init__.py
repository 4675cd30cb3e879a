"""The commands: they parse, build an application and call it. Deliberately absent: anything that a command decides itself."""
