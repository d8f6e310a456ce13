/** Buffers that older files store and nobody needs. */
export const llamaIgnored = [/\.rotary_emb\.inv_freq$/];
