"""Pages, tables, charts: what people look at."""
