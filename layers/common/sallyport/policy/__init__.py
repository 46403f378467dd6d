"""What the operator has decided; today from stack parameters."""
