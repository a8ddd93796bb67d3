/** `locktopus completion`: scripts with which a shell completes verbs and their options. */
import { tooManyOperands } from '../operator.ts';
import { type Verb, VerbExit } from '../verb.ts';
import { VERBS } from '../verbs.ts';

const BASH = 'bash';
const ZSH = 'zsh';

export const COMPLETION: Verb = {
  usage: `completion ${BASH}|${ZSH}`,
  examples: [
    ['eval "$(locktopus completion bash)"', 'for bash: put this line into ~/.bashrc'],
    ['eval "$(locktopus completion zsh)"', 'for zsh: put this line into ~/.zshrc'],
  ],
  options: [],
  notes: '',
  async run(given, context) {
    const [shell] = given.operands;
    if (shell !== BASH && shell !== ZSH) return `name the shell: ${BASH} or ${ZSH}`;
    const fault = tooManyOperands(given, 1);
    if (fault !== undefined) return fault;
    const script = await bashScript();
    // zsh runs the completions of bash.
    context.out(shell === BASH ? script : `autoload -U +X bashcompinit && bashcompinit\n${script}`);
    return VerbExit.ok;
  },
};

async function bashScript(): Promise<string> {
  const cases = await Promise.all(
    VERBS.map(async ({ name, load }) => {
      const { options } = await load();
      const flags = [...options.map(({ flag }) => flag), 'help'].map((flag) => `--${flag}`);
      return `    ${name}) words='${flags.join(' ')}' ;;`;
    }),
  );
  return `_locktopus() {
  local word=\${COMP_WORDS[COMP_CWORD]} words=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    words='${['serve', ...VERBS.map(({ name }) => name)].join(' ')}'
  elif [ "\${word#-}" != "$word" ]; then
    case \${COMP_WORDS[1]} in
${cases.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _locktopus locktopus
`;
}
