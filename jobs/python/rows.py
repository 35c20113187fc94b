def convert(name, feet, inches):
    """One row of heights.csv; its columns arrive as keyword arguments."""
    meters = (int(feet) * 12 + int(inches)) * 0.0254
    return {"meters": round(meters, 2), "is_tall": meters > 1.8}
