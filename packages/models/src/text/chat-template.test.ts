import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../checkpoint/errors.ts";
import { MemoryFolder } from "../checkpoint/folder.ts";
import { FileFolder } from "../node/file-source.ts";
import { WorkerTemplateRenderer } from "../node/template-worker.ts";
import {
  type ChatMessage,
  ChatTemplate,
  InlineTemplateRenderer,
  renderTemplate,
  vicunaPrompt,
} from "./chat-template.ts";
import { ChatTemplateError } from "./errors.ts";
import { Tokenizer } from "./tokenizer.ts";

const fixtures = fileURLToPath(new URL("../../../../test/fixtures/", import.meta.url));

interface ChatCase {
  messages: ChatMessage[];
  add_generation_prompt: boolean;
  text?: string;
  ids?: number[];
  error?: string;
}

function chatCases(name: string): ChatCase[] {
  const file = `${fixtures}${name}/expect.json`;
  return existsSync(file)
    ? ((JSON.parse(readFileSync(file, "utf8")) as { chat?: ChatCase[] }).chat ?? [])
    : [];
}

const names = readdirSync(fixtures).filter((name) => chatCases(name).length > 0);

test("there are fixtures with templates in every place", () => {
  expect(names).toEqual(expect.arrayContaining(["llama-f16", "llama-tied-llama3", "llava-older"]));
});

test.each(names)("%s renders and encodes as transformers", async (name) => {
  const folder = await FileFolder.open(fixtures + name);
  const tokenizer = await Tokenizer.load(folder);
  const template = await ChatTemplate.load(folder, tokenizer.specialTokens, new InlineTemplateRenderer());
  if (!template) throw new Error("no template");
  for (const { messages, add_generation_prompt: addGenerationPrompt, text, ids, error } of chatCases(name)) {
    const prompt = template.render(messages, { addGenerationPrompt });
    if (error !== undefined) {
      await expect(prompt).rejects.toThrow(ChatTemplateError);
      await expect(prompt).rejects.toThrow(error);
    } else {
      expect(await prompt).toBe(text);
      expect(tokenizer.encodePrompt(await prompt)).toEqual(ids);
    }
  }
});

describe("where the template comes from", () => {
  const bytes = (value: unknown) =>
    new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
  const load = (files: Record<string, unknown>) =>
    ChatTemplate.load(
      new MemoryFolder(
        Object.fromEntries(Object.entries(files).map(([name, value]) => [name, bytes(value)])),
      ),
      {},
      new InlineTemplateRenderer(),
    );

  test("chat_template.jinja, then chat_template.json, then tokenizer_config.json", async () => {
    const config = { "tokenizer_config.json": { chat_template: "config" } };
    const json = { "chat_template.json": { chat_template: "json" } };
    const jinja = { "chat_template.jinja": "jinja" };
    expect((await load({ ...config, ...json, ...jinja }))?.template).toBe("jinja");
    expect((await load({ ...config, ...json }))?.template).toBe("json");
    expect((await load(config))?.template).toBe("config");
    expect(await load({ "tokenizer_config.json": {} })).toBeUndefined();
    expect(await load({})).toBeUndefined();
  });

  test("of several named ones, the default", async () => {
    const list = [
      { name: "tool_use", template: "t" },
      { name: "default", template: "d" },
    ];
    expect((await load({ "tokenizer_config.json": { chat_template: list } }))?.template).toBe("d");
    for (const bad of [list.slice(0, 1), 1, {}, [null]]) {
      await expect(load({ "tokenizer_config.json": { chat_template: bad } })).rejects.toThrow(ConfigError);
    }
  });
});

describe("in a worker", () => {
  const renderer = new WorkerTemplateRenderer({ timeoutMs: 2000, memoryMb: 64 });

  test("gives what it gives inline", async () => {
    const template = "{% for m in messages %}{{ m['content'] | trim }}{{ eos_token }}{% endfor %}";
    const context = { messages: [{ role: "user", content: " ä \n" }], eos_token: "</s>" };
    expect(await renderer.render(template, [context])).toEqual(["ä</s>"]);
    expect(renderTemplate(template, context)).toBe("ä</s>");
  });

  test("renders many conversations in their order, a thousand a process", async () => {
    const template = new ChatTemplate(
      "{{ messages[0]['content'] }}{{ bos_token }}",
      { bos_token: "<s>" },
      renderer,
    );
    const texts = Array.from({ length: 1003 }, (_, i) => String(i));
    const prompts = await template.renderAll(texts.map((content) => [{ role: "user", content }]));
    expect(prompts).toEqual(texts.map((text) => `${text}<s>`));
    expect(await template.renderAll([])).toEqual([]);
    expect(await template.render([{ role: "user", content: "a" }])).toBe("a<s>");
  });

  test.each([
    ["syntax error", "{% for x %}", /chat template: /],
    ["unclosed block", "{% if true %}a", /chat template: /],
    ["its own exception", "{{ raise_exception('no tools here') }}", /^chat template: no tools here$/],
    [
      "loops without end",
      "{% for a in range(100000) %}{% for b in range(100000) %}{% set c = a * b %}{% endfor %}{% endfor %}",
      /took more than 2000 ms/,
    ],
    [
      "eats memory",
      "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for a in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
      /needs more than 64 MiB|string length|characters/,
    ],
    [
      "fills a list",
      "{% set ns = namespace(l=[1]) %}{% for a in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
      /needs more than 64 MiB|took more|array length/,
    ],
    [
      "asks for one huge list",
      "{% for a in range(100000000) %}{{ a }}{% endfor %}",
      /needs more than 64 MiB/,
    ],
    ["writes too much", "{% for a in range(30000) %}{{ 'x' * 1000 }}{{ s }}{% endfor %}", /chat template: /],
    [
      "reaches for the process",
      "{{ messages.constructor.constructor('return process')().exit(3) }}",
      /chat template: /,
    ],
  ])("ends a template that %s", async (_, template, message) => {
    const error = await renderer
      .render(template, [{ messages: [], s: "y".repeat(1000) }])
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ChatTemplateError);
    expect((error as Error).message).toMatch(message);
  });
});

describe("vicunaPrompt", () => {
  const system =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.";

  test("one question about a picture", () => {
    const content = [{ type: "text", text: "What is this?" }, { type: "image" }] as const;
    expect(vicunaPrompt([{ role: "user", content }])).toBe(
      `${system} USER: <image>\nWhat is this? ASSISTANT:`,
    );
  });

  test("a conversation, another system prompt, no generation prompt", () => {
    const messages = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
      { role: "user", content: "c" },
    ];
    expect(vicunaPrompt(messages)).toBe(`${system} USER: a ASSISTANT: b</s>USER: c ASSISTANT:`);
    const whole = [{ role: "system", content: "S." }, ...messages.slice(0, 2)];
    expect(vicunaPrompt(whole, { addGenerationPrompt: false, eosToken: "<e>" })).toBe(
      "S. USER: a ASSISTANT: b<e>",
    );
  });

  test("roles must alternate", () => {
    expect(() => vicunaPrompt([{ role: "assistant", content: "a" }])).toThrow(/turn 1 is "assistant"/);
    expect(() =>
      vicunaPrompt([
        { role: "user", content: "a" },
        { role: "tool", content: "b" },
      ]),
    ).toThrow(ChatTemplateError);
  });
});
