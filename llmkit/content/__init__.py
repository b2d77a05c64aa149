"""Messages, attachments, schemas, templates, variable cards, parsing of answers, token counts."""
