import { type FloatStorage, type Reader, reader } from "../../reading.ts";
import { wgsl } from "../../wgsl.ts";

/**
 * A float binding read four elements at a time from any element: `NAME_at(e)` gives elements e to e+3. Where every `e`
 * is a multiple of 4 (`aligned`) that is one vec4 load, else two and a shift, which scalar loads would cost more than:
 * what is dear on software adapters is a load site, not its width. Elements past the tensor's end are unspecified.
 */
export function operand(name: string, storage: FloatStorage, aligned: boolean): Reader {
  const wide = reader(name, storage, true);
  const code = wgsl`
${wide.code}
fn ${name}_at(e: u32) -> vec4<f32> {
#if ${aligned}
  return load4_${name}(e >> 2u);
#else
  let low = load4_${name}(e >> 2u);
  let high = load4_${name}((e >> 2u) + 1u);
  let by_two = (e & 2u) != 0u;
  let v = select(low, vec4<f32>(low.zw, high.xy), by_two);
  return select(v, vec4<f32>(v.yzw, select(high.x, high.z, by_two)), (e & 1u) != 0u);
#endif
}`;
  return { ...wide, code };
}

/**
 * `within_k(v, k)` zeroes the components of `v`, elements k to k+3 of a row, that are past the row's end. Both factors
 * have to be zeroed: what follows a row may be NaN.
 */
export function withinK(aligned: boolean): string {
  return aligned
    ? "fn within_k(v: vec4<f32>, k: u32) -> vec4<f32> { return v; }"
    : "fn within_k(v: vec4<f32>, k: u32) -> vec4<f32> { return select(vec4<f32>(), v, vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(u.k)); }";
}
