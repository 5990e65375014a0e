"""The cheat sheet, one file per section: each formula as a scalar function, a reference loop and its CUDA twin.

`docs/sheet.md` lists every row of the sheet beside the names found here.
"""
