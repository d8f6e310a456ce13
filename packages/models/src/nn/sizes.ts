import { z } from "zod";

/**
 * Most layers of a stack, levels of a pyramid, or branches. A network is put together, part by part, before any weight is
 * looked at: a count from a file must not decide how much memory that takes. Trained networks have some hundreds.
 */
export const mostLayers = 4096;

/** Most elements of an attention head; tables of rotary frequencies are made for them. Trained ones have some hundreds. */
export const mostHeadElements = 65536;

/** How many parts of one kind a network is made of. */
export const layerCount = z.int().positive().max(mostLayers);
