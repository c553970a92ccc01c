"""FreeSWITCH's Event Socket Layer: a parser without I/O, and asyncio ends for both directions."""
