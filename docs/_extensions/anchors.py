"""Anchors of headings as JupyterLab has them, so that links within the notebooks work on the site, too."""


def slug(heading: str) -> str:
    """Return the anchor of a heading.

    Example:
        >>> slug("Half the price")
        'Half-the-price'
    """
    return heading.replace(" ", "-")
