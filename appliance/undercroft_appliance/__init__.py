"""The signing device of one owner: keeper (the keys), panel (the owner), port (the line)."""
