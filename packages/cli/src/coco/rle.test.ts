import { Random } from "@mask-llava/runtime";
import { describe, expect, test } from "vitest";
import { type BinaryMask, decodeRle, encodeRle, RleError } from "./rle.ts";

/** `pycocotools.mask.encode` (2.0) of masks whose pixels are 1 where a linear congruential generator stays below a threshold. */
const golden = [
  { h: 1, w: 1, seed: 1, threshold: 0, counts: "1" },
  { h: 1, w: 1, seed: 1, threshold: 4294967296, counts: "01" },
  { h: 5, w: 7, seed: 3, threshold: 2147483648, counts: "021O10O022N20L0010O030" },
  {
    h: 37,
    w: 21,
    seed: 7,
    threshold: 2147483648,
    counts:
      "025OM0O050M2ON00O30M12O0010O1N30L21O0O22NN00030NO10O2OO10O20N0O14OO0M11OO2000N000031N6OJ0O11OO1000O013ON0O0010O00021OOO0001000O0010O010O2400OL21O1N20L1100O0021MO50L012OO4OL00044NLM10O0010O022O000ON20N011OO011O0001OO0011O03ON62JM220NN21NO10O0120NO00040L121N22L01N4101K00O000130OONO010O10O20O012NN0000010030M10N0011OO1000O010O0030M3013MM00102020J20O1O21N00OO0001111NN010O02001NO00020N1141K01NO1020M21OOO01210",
  },
  {
    h: 64,
    w: 48,
    seed: 9,
    threshold: 268435456,
    counts:
      "d01216OI040M0d00K0d00RO0K0O0f10[N0m00\\O03080J0J0e00TO0O0a00C1LOo00QO020U10jN010N0404020=0\\O050J0?0_O020O000507050^O0n00VO000h00D010G0L0L0j00^O0<0U10^N0<0]O0b10^O0O0QO0:0j00YO0K0<1>Oc00_N070D0e1070UN0T20SN040L0I040K050f00`00A0[O0K0i10[N01061CO90Z10`N0g00^O0:0A0M0c01COP1040QO0K1OO4081EOf11mNOZO0a00^O060K0603050C0=0k00jN0M0g00XO0Q10SO0d00]O1KON0S1081\\O0YOOd00L020F0>0O0_O0T10RO0d20VM00050<0]O1e1OZN02080O060I0N0J0a00^O0d00@0a0",
  },
  {
    h: 3,
    w: 400,
    seed: 5,
    threshold: 2147483648,
    counts:
      "033O30K010OO0021N00O20N0261JO0N21NO010O00013OM01010N0011200OM1103OL00003010L00020O031L0102OM0030M031NOO10O00111OO1OO01110N42KN30M01010N0101003NM31M0201ON2OO2ON40N122LN2ON10O0020N110O01O03OM00000020N000021N0103OL011010NO31M00O20O000O00000020N10O40L00004010M0N10O0010O0030N020M31OON0040L011OO010O031M00O33NOON113OL210ON00110OO3000M30N12OM0121OOO01O00O12ON83IOO00O2ON0055KK0030M021N20N1O1012N0ON00040L0000151LN21M01OO0016OJ121NO0O30O2N15NK30L20N00010O130M050M010MO012OO0O22OOO0011NO0000030M23O0OO1NO020N100102ON0O31OOO0O0130N0O10N0024NM2ON20042N3OJ0OO01050J010113OK012ON010O020N020N20N11O10N50K032MO12ON2O42J00N40M1O1040L10ON",
  },
];

/** Pixels by the generator of Numerical Recipes. */
function generated(h: number, w: number, seed: number, threshold: number): BinaryMask {
  let state = seed;
  const data = Uint8Array.from({ length: h * w }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state < threshold ? 1 : 0;
  });
  return { height: h, width: w, data };
}

describe("COCO's run lengths", () => {
  test.each(golden)("$h x $w are what pycocotools writes", ({ h, w, seed, threshold, counts }) => {
    const mask = generated(h, w, seed, threshold);
    expect(encodeRle(mask)).toEqual({ size: [h, w], counts });
    expect(decodeRle({ size: [h, w], counts })).toEqual(mask);
  });

  test("long runs take several characters", () => {
    const mask = {
      height: 2000,
      width: 3000,
      data: Uint8Array.from({ length: 6e6 }, (_, i) => (i % 3000 >= 1500 ? 1 : 0)),
    };
    const rle = encodeRle(mask);
    expect(rle.counts).toBe("Pfak2Pfak2");
    expect(Buffer.compare(decodeRle(rle).data, mask.data)).toBe(0);
  });

  test("decoding undoes encoding, for any mask", () => {
    const random = new Random(5);
    for (let i = 0; i < 200; i++) {
      const [height, width] = [random.integer(1, 40), random.integer(1, 40)];
      const share = random.uniform();
      const data = Uint8Array.from({ length: height * width }, () => (random.uniform() < share ? 1 : 0));
      expect(decodeRle(encodeRle({ height, width, data })).data).toEqual(data);
    }
  });

  test.each([
    ["a character that is none", "0!", /character 1 of the runs is "!"/],
    ["a number cut short", "P", /end within a number/],
    ["a number without end", "PPPPPPPP0", /too long/],
    ["too few pixels", "5", /runs of 5 pixels, expected 4x3 = 12/],
    ["too many pixels", "=", /runs of 13 pixels/],
    ["a run below 0", "O", /run 0 has -1 pixels/],
    ["nothing", "", /runs of 0 pixels/],
  ])("%s is refused", (_, counts, message) => {
    const decode = () => decodeRle({ size: [3, 4], counts });
    expect(decode).toThrow(RleError);
    expect(decode).toThrow(message);
  });
});
