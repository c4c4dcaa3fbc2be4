"""placeholder so that imports work; replaced below"""
