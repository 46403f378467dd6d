"""From where: IP allow and deny lists."""
