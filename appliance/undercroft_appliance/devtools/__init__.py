"""Development tools: commands of `undercroft-appliance` that no image has."""
