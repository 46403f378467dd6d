"""What may not leak: keys, cards, people's data and the operator's own words, found in whole texts and in streams."""
