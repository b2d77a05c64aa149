"""What a message and an answer hold: text, attachments, schemas, templates, cards, tokens. No IPython."""
