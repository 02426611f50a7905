/** `paster completion`: prints a script that completes commands and options in a shell. */
import { didYouMean } from '../config/nearest.ts';
import { EXIT_OK, UsageError } from '../errors.ts';
import type { Command, Commands, Console } from './command-line/command.ts';

/** The completions of one command. */
interface Completion {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly {
    readonly names: readonly string[];
    readonly help: string;
    readonly takesValue: boolean;
  }[];
  /** The words that an argument allows, as in `[start|stop|restart|status]`, or in a help such as `bash, zsh or fish`. */
  readonly words: readonly string[];
}

type Script = (completions: readonly Completion[]) => string;

/** @param commands the commands to complete */
export const completionCommand = (commands: Commands): Command => ({
  name: 'completion',
  summary: 'print a script that completes command lines in your shell',
  args: [['<shell>', 'bash, zsh or fish']],
  options: [],
  examples: [
    ['source <(paster completion bash)', 'in ~/.bashrc'],
    ['paster completion zsh > ~/.zfunc/_paster', 'with ~/.zfunc in fpath'],
    ['paster completion fish > ~/.config/fish/completions/paster.fish', 'for fish'],
  ],
  run: (args, _options, console) => completion(args[0] ?? '', commands, console),
});

const SCRIPTS: ReadonlyMap<string, Script> = new Map([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
]);

async function completion(shell: string, commands: Commands, console: Console): Promise<number> {
  const script = SCRIPTS.get(shell);
  if (script === undefined) {
    const shells = [...SCRIPTS.keys()];
    throw new UsageError('PASTER_USAGE', `completion: there is none for "${shell}"`, {
      hint: didYouMean(shell, shells),
    });
  }
  const completions: Completion[] = [];
  for (const [name, entry] of commands) completions.push(completionOf(name, await entry.load()));
  console.out(script(completions));
  return EXIT_OK;
}

function completionOf(name: string, { summary, options, args }: Command): Completion {
  return {
    name,
    summary,
    options: options.map(({ flags, help }) => ({
      names: flags.match(/--?[a-zA-Z][\w-]*/g) ?? [],
      help,
      takesValue: flags.includes('<'),
    })),
    words: args.flatMap(([arg, help]) => {
      const [, inName] = /^\[([a-z]+(?:\|[a-z]+)+)\]$/.exec(arg) ?? [];
      return inName?.split('|') ?? (/^[a-z]+(?:, [a-z]+)+(?: or [a-z]+)?$/.test(help) ? help.split(/, | or /) : []);
    }),
  };
}

function bashScript(completions: readonly Completion[]): string {
  const cases = completions.map(({ name, options, words }) => {
    const names = [...options.flatMap((option) => option.names), '--help'];
    const valued = options.flatMap((option) => (option.takesValue ? option.names : []));
    return `    ${name}) options=${shellQuote(names.join(' '))} valued=${shellQuote(valued.join(' '))} words=${shellQuote(words.join(' '))} ;;`;
  });
  const commands = [...completions.map(({ name }) => name), 'help'].join(' ');
  return `# bash completion of paster: source <(paster completion bash)
_paster() {
  local current=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]} options= valued= words=
  if [ "$COMP_CWORD" -eq 1 ] || { [ "$command" = help ] && [ "$COMP_CWORD" -eq 2 ]; }; then
    COMPREPLY=($(compgen -W ${shellQuote(`${commands} --help --version`)} -- "$current"))
    return
  fi
  case $command in
${cases.join('\n')}
  esac
  case " $valued " in
    *" \${COMP_WORDS[COMP_CWORD-1]} "*) words= ;;
  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current")) ;;
  esac
}
complete -o filenames -F _paster paster`;
}

function zshScript(completions: readonly Completion[]): string {
  const commands = completions.map(({ name, summary }) => `    ${shellQuote(`${name}:${escapeZsh(summary)}`)}`);
  const cases = completions.map(({ name, options, words }) => {
    const specs = options.map(({ names, help, takesValue }) => {
      const [first = ''] = names;
      const value = takesValue ? ':value:_files' : '';
      const text = `[${escapeZsh(help)}]${value}`;
      return names.length === 1
        ? shellQuote(`*${first}${text}`)
        : `'(${names.join(' ')})'{${names.join(',')}}${shellQuote(text)}`;
    });
    const rest = shellQuote(`*:argument:{${words.length > 0 ? `compadd ${words.join(' ')}; ` : ''}_files}`);
    return `    ${name}) _arguments ${[...specs, rest].join(' ')} ;;`;
  });
  return `#compdef paster
# zsh completion of paster: paster completion zsh > ~/.zfunc/_paster
_paster() {
  local -a commands=(
${commands.join('\n')}
    'help:show what a command does'
  )
  if (( CURRENT == 2 )) || { [[ $words[2] == help ]] && (( CURRENT == 3 )) }; then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _paster ]]; then _paster "$@"; else compdef _paster paster; fi`;
}

function fishScript(completions: readonly Completion[]): string {
  const lines = completions.flatMap(({ name, summary, options, words }) => {
    const seen = `-n ${shellQuote(`__fish_seen_subcommand_from ${name}`)}`;
    return [
      `complete -c paster -n __fish_use_subcommand -f -a ${name} -d ${shellQuote(summary)}`,
      ...options.map(({ names, help, takesValue }) => {
        const flags = names.map((each) => (each.startsWith('--') ? `-l ${each.slice(2)}` : `-s ${each.slice(1)}`));
        return `complete -c paster ${seen} ${flags.join(' ')}${takesValue ? ' -r' : ''} -d ${shellQuote(help)}`;
      }),
      ...(words.length > 0 ? [`complete -c paster ${seen} -a ${shellQuote(words.join(' '))}`] : []),
    ];
  });
  const names = completions.map(({ name }) => name).join(' ');
  return [
    '# fish completion of paster: paster completion fish > ~/.config/fish/completions/paster.fish',
    ...lines,
    `complete -c paster -n __fish_use_subcommand -f -a help -d 'show what a command does'`,
    `complete -c paster -n '__fish_seen_subcommand_from help' -f -a ${shellQuote(names)}`,
  ].join('\n');
}

/** Quotes a word for each of the three shells. */
function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** zsh ends a description at a colon or a bracket. */
function escapeZsh(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, '\\$&');
}
