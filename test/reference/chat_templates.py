"""Chat templates with the Jinja that real ones use: slices, set, loop variables, filters, methods, raise_exception."""

LLAMA3 = (
    "{% set rows = messages %}{% for message in rows %}"
    "{% set text = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set text = bos_token + text %}{% endif %}{{ text }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)

# Block layout with white space control, a namespace and macros, as newer templates have.
LLAMA3_BLOCKS = """{{- bos_token }}
{%- macro header(role) -%}
    {{- '<|start_header_id|>' ~ role ~ '<|end_header_id|>\\n\\n' -}}
{%- endmacro %}
{%- set state = namespace(system=none, turns=0) %}
{%- if messages[0].role == 'system' %}
    {%- set state.system = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- header('system') }}
{%- if state.system is not none %}
    {{- state.system }}
{%- else %}
    {{- 'You look at pictures.' }}
{%- endif %}
{{- '<|eot_id|>' }}
{%- for message in messages %}
    {%- if message.role not in ['user', 'assistant'] %}
        {{- raise_exception('Unknown role ' ~ message.role) }}
    {%- endif %}
    {%- set state.turns = state.turns + 1 %}
    {{- header(message.role) + message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- header('assistant') }}
{%- endif %}
"""

LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}"
    "{% else %}{% set rest = messages %}{% set system = false %}{% endif %}"
    "{% for message in rest %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate: user, assistant, user, …') }}{% endif %}"
    "{% if loop.index0 == 0 and system != false %}"
    "{% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)

# LLaVA's conversation: pictures first, then text; roles in capitals.
LLAVA = (
    "{% for message in messages %}"
    "{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{# the pictures of a turn come before its text #}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% if message['role'] != 'assistant' %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% else %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ part['text'] + ' ' }}{% endgeneration %}{% endfor %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)

USER = {"role": "user", "content": "What is in the picture?"}
ASSISTANT = {"role": "assistant", "content": "  A red circle. \n"}
SYSTEM = {"role": "system", "content": "Answer with one word. "}
AGAIN = {"role": "user", "content": "And where?\n"}

TEXT_CONVERSATIONS = [
    [USER],
    [SYSTEM, USER],
    [USER, ASSISTANT, AGAIN],
    [SYSTEM, USER, ASSISTANT, AGAIN],
    [USER, AGAIN],
    [USER, {"role": "tool", "content": "3"}],
]


def chat_cases(tokenizer, conversations):
    """What apply_chat_template answers, or the message of the error that the template raises."""
    out = []
    for messages in conversations:
        for prompt in (True, False):
            case = {"messages": messages, "add_generation_prompt": prompt}
            try:
                text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
                case["text"] = text
                # The template writes <s> itself or leaves it to the tokenizer; it is there once either way.
                case["ids"] = tokenizer.encode(text, add_special_tokens=not text.startswith(tokenizer.bos_token))
            except Exception as error:  # jinja2.TemplateError from raise_exception
                case["error"] = str(error)
            out.append(case)
    return out

IMAGE = {"type": "image"}


def text_part(text):
    return {"type": "text", "text": text}


PICTURE_CONVERSATIONS = [
    [{"role": "user", "content": [IMAGE, text_part("What is in the picture?")]}],
    [{"role": "user", "content": [text_part("Which shows a dog?"), IMAGE, IMAGE]}],
    [
        {"role": "system", "content": [text_part("Answer with one word.")]},
        {"role": "user", "content": [IMAGE, text_part("What is this?")]},
        {"role": "assistant", "content": [text_part("A circle.")]},
        {"role": "user", "content": [text_part("And its colour?")]},
    ],
]
