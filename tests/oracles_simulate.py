"""Slow, obvious twins of the simulation, written from the papers."""

import math

import numpy as np


def ctf_at(gx, gy, optics, wavelength_ang):
    """Contrast transfer at one frequency, in 1/Å: Rohou & Grigorieff 2015, eqs. 2-5."""
    g = math.hypot(gx, gy)
    angle = math.atan2(gy, gx)
    greatest = (optics.defocus_um + optics.astigmatism_um / 2) * 1e4
    least = (optics.defocus_um - optics.astigmatism_um / 2) * 1e4
    turn = 2 * (angle - math.radians(optics.astigmatism_deg))
    defocus = 0.5 * (greatest + least + (greatest - least) * math.cos(turn))
    cs = optics.cs_mm * 1e7
    chi = math.pi * wavelength_ang * g**2 * (defocus - 0.5 * wavelength_ang**2 * g**2 * cs)
    w2 = optics.amplitude_contrast
    w1 = math.sqrt(1 - w2**2)
    return (-w1 * math.sin(chi) - w2 * math.cos(chi)) * math.exp(-optics.b_factor_ang2 * g**2 / 4)


def projection(xyz_ang, mass_da, rotation, blur_ang, pixel_size_ang, side_px):
    """Sum of one Gaussian per grain at every pixel, in Da per pixel."""
    image = np.zeros((side_px, side_px))
    for position, mass in zip(xyz_ang, mass_da, strict=True):
        x, y, _ = rotation @ position
        for row in range(side_px):
            for column in range(side_px):
                dx = (column - side_px // 2) * pixel_size_ang - x
                dy = (row - side_px // 2) * pixel_size_ang - y
                fall = math.exp(-(dx**2 + dy**2) / (2 * blur_ang**2))
                image[row, column] += mass * fall * pixel_size_ang**2
    return image / (2 * math.pi * blur_ang**2)
