//! `stack run` keeps the whole stack in the foreground and prints where to look and commands to try. `stack demo` runs the
//! same commands once, checks every answer, and fails if one is wrong. The Makefile calls both. `stack driven` is for the
//! tests in a browser, which start it.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use keygate_e2e::{
    Error, Options, Result, Stack,
    deadline::eventually,
    door::{self, Tokens},
    driven,
    policy_service::ADMIN_TOKEN,
    stack::Ports,
    story::{self, Expected, Keys, Lines},
    variables,
};
use nix::sys::{prctl, signal::Signal};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

/// How long a change may take: the shipped refresh interval and a second. A long poll is much faster.
const SEEN_WITHIN: Duration = Duration::from_secs(6);
/// The pause between two checks for a part that has ended and for an interrupted caller.
const WATCH: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // When make or another caller is killed, this process gets SIGTERM, and its children end with it.
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGTERM) {
        say(&format!("this stack may outlive its caller: {error}"));
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run"] => interruptible(run()).await,
        ["demo"] => interruptible(demo()).await,
        ["driven"] => interruptible(driven::run()).await,
        _ => {
            say("usage: stack run | stack demo | stack driven");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("stack: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs `work` until it ends, or until this process is interrupted, terminated or loses its terminal. Dropping `work`
/// ends everything that it started.
async fn interruptible(work: impl Future<Output = Result<()>>) -> Result<()> {
    let caller = Caller::here();
    let listen = |kind| signal(kind).map_err(Error::io("listening to signals"));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::select! {
        done = work => return done,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
        () = caller.interrupted() => {}
    }
    say("\nstopped; nothing is left running");
    Ok(())
}

/// The parent process, and the signals that it handles itself.
///
/// If only make is interrupted (`kill -INT`, unlike Ctrl-C, which reaches the whole group), it tells no child and waits
/// for its recipe forever. But it resets its signal handler then, and that can be observed.
struct Caller {
    pid: i32,
    handled: u64,
}

impl Caller {
    fn here() -> Self {
        let pid = nix::unistd::getppid().as_raw();
        Self { pid, handled: handled(pid) }
    }

    /// Completes when the caller no longer handles a signal that it handled before.
    async fn interrupted(&self) {
        let ends = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
        let bit = |signal: Signal| 1_u64.checked_shl((signal as u32).saturating_sub(1)).unwrap_or_default();
        let ends = ends.into_iter().map(bit).fold(0, |bits, bit| bits | bit) & self.handled;
        while handled(self.pid) & ends == ends {
            tokio::time::sleep(WATCH).await;
        }
    }
}

/// The signals for which `pid` has handlers, as a bit set. Zero if the process is gone.
fn handled(pid: i32) -> u64 {
    procfs::process::Process::new(pid).and_then(|process| process.status()).map_or(0, |status| status.sigcgt)
}

async fn run() -> Result<()> {
    let ports = Ports::from_environment()?;
    say("starting the policy service, two upstreams and Envoy with keygate …");
    // Two stacks on one machine need different ports and different files.
    let name = std::env::var("STACK_NAME").unwrap_or_else(|_| "run".to_owned());
    let (mut stack, keys) = story::stage(&name, door::hasty(Options { ports, ..Options::default() })).await?;
    let tokens = door::open(&stack, &keys).await?;
    print_story(&stack, &keys, &tokens)?;
    loop {
        tokio::time::sleep(WATCH).await;
        stack.check()?;
    }
}

fn print_story(stack: &Stack, keys: &Keys, tokens: &Tokens) -> Result<()> {
    let lines = lines(stack, keys)?;
    let source = variables::source(&variables::write(stack, keys, tokens)?);
    say(&format!(
        "
keygate is running:

  console          http://{policy}/console
  gateway          http://{gateway}    (APIs: /orders/1.0, /payments/1.0, /reports/1.0)
  policy service   http://{policy}     (management API: /openapi.json, token: {ADMIN_TOKEN})
  Envoy's admin    http://{admin}     (/stats?filter=keygate)
  all files        {folder}

Sign in to the console with a token of one of these people, each in a window of its own:

{people}

For the commands of README.md and docs/, in another terminal:

  {source}

Commands to try, in another terminal. A change reaches the gateway within six seconds, usually at once.",
        gateway = lines.gateway,
        policy = lines.policy,
        admin = stack.envoy()?.admin(),
        folder = stack.folder().display(),
        people = people(tokens),
    ));
    for (number, scene) in (1..).zip(story::SCENES) {
        say(&format!("\n{number}. {}", scene.title));
        if let Some(change) = scene.change {
            say(&format!("   first, as an administrator:\n     {}", lines.change(change)));
        }
        for call in scene.calls {
            say(&format!("   {} on {}: {}", call.caller.name(), call.path, call.expected));
            say(&format!("     {}", lines.call(call)));
        }
    }
    say("\nCtrl-C stops everything.");
    Ok(())
}

fn people(tokens: &Tokens) -> String {
    let line = |(person, token): &(door::Person, &str)| {
        format!("  {:<12} {:<8} {token}    (has {})", person.role, person.subject, person.has)
    };
    tokens.each().iter().map(line).collect::<Vec<_>>().join("\n")
}

async fn demo() -> Result<()> {
    say("starting the policy service, two upstreams and Envoy with keygate …");
    let (stack, keys) = story::stage("demo", Options::default()).await?;
    let lines = lines(&stack, &keys)?;
    let mut calls = 0_usize;
    for (number, scene) in (1..).zip(story::SCENES) {
        say(&format!("\n{number}. {}\n", scene.title));
        if let Some(change) = scene.change {
            let line = lines.change(change);
            say(&format!("$ {line}"));
            let answer = shell(&line).await?;
            say(&format!("  {answer}"));
            if answer.status != 200 {
                return Err(wrong(&line, "200", &answer));
            }
        }
        let changed = Instant::now();
        for call in scene.calls {
            let line = lines.call(call);
            say(&format!("$ {line}   # {}", call.caller.name()));
            // Only the effects of the last change may take a moment.
            let left = SEEN_WITHIN.saturating_sub(changed.elapsed());
            let (answer, waited) = eventually(line.clone(), left, async || {
                let answer = shell(&line).await?;
                if answer.is(call.expected) {
                    Ok(answer)
                } else {
                    Err(wrong(&line, &call.expected.to_string(), &answer))
                }
            })
            .await?;
            say(&format!("  {answer}\n  as expected ({}), {} ms", call.expected, waited.as_millis()));
            calls = calls.saturating_add(1);
        }
    }
    say(&format!("\nall {calls} calls answered as expected"));
    stack.stop().await;
    Ok(())
}

fn lines<'a>(stack: &Stack, keys: &'a Keys) -> Result<Lines<'a>> {
    Ok(Lines { gateway: stack.envoy()?.gateway(), policy: stack.policy()?.address(), keys })
}

/// The output of curl: status and body.
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn is(&self, expected: Expected) -> bool {
        expected.is(self.status, &serde_json::from_str(&self.body).unwrap_or_default())
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

/// Runs a line in a shell, as a user does.
async fn shell(line: &str) -> Result<Answer> {
    let output = Command::new("sh").args(["-c", line]).kill_on_drop(true).output().await;
    let output = output.map_err(Error::io("running sh"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| {
        Error::unexpected(
            line,
            "an HTTP answer",
            format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr)),
        )
    })?;
    Ok(Answer { status, body: body.trim_end().to_owned() })
}

fn wrong(line: &str, expected: &str, found: &Answer) -> Error {
    Error::unexpected(line, expected, found.to_string())
}

/// Prints a line. If the reader has gone, the stack still starts.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
