"""Folders that our loading code opens, made once out of the files of a wheel; nothing in those files is executed."""
