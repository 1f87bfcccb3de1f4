"""How the documents become a site, and what of them is made from the source."""
