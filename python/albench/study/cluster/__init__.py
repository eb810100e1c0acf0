"""Joined processes started through Dask, and a head that watches them; the results folder is their queue."""
