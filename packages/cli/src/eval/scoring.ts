/** What answers are compared as: without space around, in one case, without one full stop at the end. */
export function normalised(text: string): string {
  return text.trim().replace(/\.$/, "").trimEnd().toLowerCase();
}

/** Whether an answer is one of those that count. */
export function isRight(text: string, answers: readonly string[]): boolean {
  const said = normalised(text);
  return answers.some((answer) => normalised(answer) === said);
}
