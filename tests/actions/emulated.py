"""What the published actions do that workflows here use, done locally and only as far as workflows can tell.

Each has the inputs that its release declares; an action that is not here, or is not pinned to a commit, fails.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import loopback_guard
from tests.actions.machine import ActionFailed, Machine
from tests.actions.world import Annotation, StepRun

Inputs = Mapping[str, str]
UNSEEN = ("npc_lims", "_editable_impl_npc_lims", "ruff")
"""Beginnings of the names of what installs this package where the tests run, and of what is a program, not a module:
whoever finds it there looks for it on the PATH."""
INSTALLED = tempfile.TemporaryDirectory(prefix="installed-")
"""What pip made of a package in one job, for later jobs (see pip_once.py)."""


@dataclass(frozen=True)
class Step:
    """Where an action runs, and what it says."""

    machine: Machine
    record: StepRun

    def need(self, *scopes: str) -> None:
        """ActionFailed unless the job's token may write these."""
        for scope in scopes:
            if self.machine.record.permissions.get(scope) != "write":
                raise ActionFailed(f"this action needs the permission {scope}: write")

    def git(self, folder: Path, *arguments: str) -> None:
        """Run git as a step of the job would."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=self.machine.base_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        self.record.raw_log += f"git {arguments[0]}\n{done.stdout}{done.stderr}"
        if done.returncode:
            raise ActionFailed(f"The process git failed with exit code {done.returncode}")

    def inside(self, path: str) -> Path:
        """A path of the workspace, or an absolute one of the job's own machine."""
        found = (self.machine.workspace / Path(path).expanduser()).resolve()
        if not found.is_relative_to(self.machine.folder.resolve()):
            raise ActionFailed(f"{path} is not of this job's machine, {self.machine.folder}")
        return found


def use_action(machine: Machine, record: StepRun, uses: str, inputs: Inputs) -> None:
    """Do what the action `uses` does with these inputs; its outputs go to the record.

    Raises:
        ActionFailed: it is not pinned, not known here, given an input that it does not have, or fails.
    """
    name, _, pin = uses.partition("@")
    if not re.fullmatch(r"[0-9a-f]{40}", pin):
        raise ActionFailed(f"{uses} is not pinned to a full commit")
    if name not in ACTIONS:
        raise ActionFailed(f"{name} has no local stand-in in {Path(__file__).name}")
    action = ACTIONS[name]
    known = set(action.inputs.split())
    asks = name == "actions/create-github-app-token"
    if unknown := {each for each in inputs if each not in known and not (asks and each.startswith("permission-"))}:
        raise ActionFailed(f"Unexpected input(s) {sorted(unknown)}, valid inputs are {sorted(known)}")
    record.outputs = action.run(Step(machine, record), {each: value for each, value in inputs.items() if value})


# -- the code ----------------------------------------------------------------------------------------


def checkout(step: Step, inputs: Inputs) -> dict[str, str]:
    """A fetch of one commit, of all history with `fetch-depth: 0`; on its branch, or detached at a merge."""
    machine = step.machine
    if inputs.get("repository", machine.repo.name) != machine.repo.name:
        raise ActionFailed(f"there is no repository {inputs['repository']}")
    token = inputs.get("token", machine.token)
    folder = step.inside(inputs.get("path", "."))
    if not folder.is_relative_to(machine.workspace.resolve()):
        raise ActionFailed(f"Repository path '{folder}' is not under '{machine.workspace}'")
    folder.mkdir(parents=True, exist_ok=True)
    ref = inputs.get("ref", machine.event.ref)
    is_commit = re.fullmatch(r"[0-9a-f]{40}", ref) is not None
    if not is_commit and not ref.startswith("refs/"):
        ref = f"refs/heads/{ref}"
    branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else ""
    target = (
        f"refs/remotes/origin/{branch}"
        if branch
        else ""
        if is_commit
        else ref.replace("refs/pull", "refs/remotes/pull")
    )
    # a run is about one commit, however far its branch has gone since then; unless it asks for the branch by name
    source = ref if "ref" in inputs else machine.event.sha
    authorization = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    machine.mask(authorization)
    header = f"http.{machine.repo.url}/.extraheader"
    depth = inputs.get("fetch-depth", "1")
    if (folder / ".git").is_dir():
        # of the same repository, from a step before: what was made there since goes
        step.git(folder, "clean", "-ffdx", "--quiet")
        step.git(folder, "reset", "--hard", "--quiet", "HEAD")
    else:
        step.git(folder, "init", "--quiet", "--initial-branch=main")
        step.git(folder, "remote", "add", "origin", f"{machine.repo.url}/{machine.repo.name}")
    step.git(folder, "config", "--local", "gc.auto", "0")
    step.git(folder, "config", "--local", header, f"AUTHORIZATION: basic {authorization}")
    tags = [] if inputs.get("fetch-tags") == "true" else ["--no-tags"]
    fetch = ["fetch", "--quiet", *tags, "--no-recurse-submodules"]
    if depth == "0":
        everything = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        step.git(folder, *fetch, "origin", *everything)
    how_much = [] if depth == "0" else [f"--depth={depth}"]
    step.git(folder, *fetch, *how_much, "origin", f"+{source}:{target}" if target else source)
    if branch:
        step.git(folder, "checkout", "--quiet", "--force", "-B", branch, target)
    else:
        step.git(folder, "checkout", "--quiet", "--force", "--detach", target or source)
    if inputs.get("persist-credentials", "true") != "true":
        step.git(folder, "config", "--local", "--unset-all", header)
    return {"ref": ref, "commit": machine.event.sha}


def setup_python(step: Step, inputs: Inputs) -> dict[str, str]:
    """A new virtual environment of this Python, first on the PATH, whatever version is asked for.

    It sees the packages of the Python that runs the tests, so that `pip install .` needs no network: pip finds what
    builds there, and takes dependencies for granted. This package itself is not among them.
    """
    machine = step.machine
    folder = machine.folder / "tools" / "Python"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    python = folder / "bin" / "python"
    packages = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    shutil.copy(loopback_guard.__file__, packages / "loopback_guard.py")
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    shutil.copy(Path(__file__).with_name("pip_once.py"), packages / "pip" / "__main__.py")
    seen = folder / "seen"
    seen.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if not each.name.startswith(UNSEEN):
            (seen / each.name).symlink_to(each)
    (packages / "rehearsal.pth").write_text(f"{seen}\nimport loopback_guard\n")
    settings = {
        "NO_INDEX": "1",
        "NO_BUILD_ISOLATION": "0",
        "NO_DEPS": "1",
        "DISABLE_PIP_VERSION_CHECK": "1",
    }
    machine.env.update({f"PIP_{name}": value for name, value in settings.items()})
    machine.env["INSTALLED"] = INSTALLED.name
    machine.path.insert(0, str(python.parent))
    version = ".".join(map(str, sys.version_info[:3]))
    return {"python-version": version, "python-path": str(python), "cache-hit": ""}


def setup_node(step: Step, inputs: Inputs) -> dict[str, str]:
    """The Node.js that is there."""
    node = shutil.which("node")
    if node is None:
        raise ActionFailed("there is no node on this machine")
    step.machine.path.insert(0, str(Path(node).parent))
    return {
        "node-version": subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    }


# -- artifacts ---------------------------------------------------------------------------------------


def upload_artifact(step: Step, inputs: Inputs) -> dict[str, str]:
    """Keep files for later jobs, below what all patterns have in common; hidden ones only where asked for."""
    _check_service(step)
    run, name = step.machine.run, inputs.get("name", "artifact")
    if wrong := re.search(r'[":<>|*?\r\n\\/]', name):
        raise ActionFailed(f"The artifact name is not valid: {name}. Contains the character {wrong[0]!r}")
    if name in run.artifacts and inputs.get("overwrite") != "true":
        raise ActionFailed("Failed to CreateArtifact: an artifact with this name already exists on the workflow run")
    root, files = _chosen(step, inputs)
    if not files:
        text = f"No files were found with the provided path: {inputs['path']}. No artifacts will be uploaded."
        what = inputs.get("if-no-files-found", "warn")
        if what == "error":
            raise ActionFailed(text)
        if what == "warn":
            step.record.annotations.append(Annotation("warning", text, {}))
        return {}
    folder = step.machine.world.folder / f"run{run.id}" / "artifacts" / name
    shutil.rmtree(folder, ignore_errors=True)
    for file in files:
        target = folder / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)  # rights to run a file get lost on GitHub too
    run.artifacts[name] = folder
    return {"artifact-id": str(len(run.artifacts)), "artifact-url": f"{step.machine.repo.url}/artifacts/{name}"}


def _check_service(step: Step) -> None:
    if step.machine.world.artifacts_are_down:
        raise ActionFailed("Failed to make request after 5 attempts: Request timeout: the artifact service")


def _chosen(step: Step, inputs: Inputs) -> tuple[Path, list[Path]]:
    """The folder that names in the artifact are relative to, and the files."""
    if not inputs.get("path"):
        raise ActionFailed("Input required and not supplied: path")
    workspace = step.machine.workspace
    starts: list[Path] = []
    files: set[Path] = set()
    for pattern in filter(None, map(str.strip, inputs["path"].splitlines())):
        plain = pattern.removeprefix("!")
        fixed = re.split(r"[*?\[]", str(Path(workspace, plain)))[0]
        start = Path(fixed) if fixed == str(Path(workspace, plain)) else Path(fixed + "x").parent
        found = _files_of(start, str(Path(workspace, plain)))
        if pattern.startswith("!"):
            files -= found
        else:
            files |= found
            starts.append(start)
    if inputs.get("include-hidden-files") != "true":
        files = {file for file in files if not any(part.startswith(".") for part in file.relative_to(workspace).parts)}
    root = Path(os.path.commonpath(starts))
    return (root.parent if root.is_file() else root), sorted(files)


def _files_of(start: Path, pattern: str) -> set[Path]:
    found = [start] if str(start) == pattern else list(start.glob(str(Path(pattern).relative_to(start))))
    return {file for each in found for file in ([each] if each.is_file() else each.rglob("*")) if file.is_file()}


def download_artifact(step: Step, inputs: Inputs) -> dict[str, str]:
    """One artifact into the folder, or each into a folder of its name there, or all into one."""
    _check_service(step)
    artifacts, folder = step.machine.run.artifacts, step.inside(inputs.get("path", "."))
    name = inputs.get("name")
    if name is not None and name not in artifacts:
        raise ActionFailed(f"Unable to download artifact(s): Artifact not found for name: {name}")
    regex = re.escape(inputs.get("pattern", "*")).replace(r"\*", "[^/]*").replace(r"\?", ".")
    chosen = [name] if name is not None else [each for each in artifacts if re.fullmatch(regex, each)]
    merged = name is not None or inputs.get("merge-multiple") == "true"
    step.record.raw_log += f"{len(chosen)} artifact(s) to download\n"
    for each in chosen:
        shutil.copytree(artifacts[each], folder if merged else folder / each, dirs_exist_ok=True)
    return {"download-path": str(folder)}


# -- who one is --------------------------------------------------------------------------------------


def configure_aws_credentials(step: Step, inputs: Inputs) -> dict[str, str]:
    """The keys of a role that trusts this job's token."""
    step.need("id-token")
    if "aws-region" not in inputs:
        raise ActionFailed("Input required and not supplied: aws-region")
    role = step.machine.world.roles.get(inputs.get("role-to-assume", ""))
    if role is None or role.subject != step.machine.subject:
        raise ActionFailed(
            f"Could not assume role with OIDC: Not authorized to perform sts:AssumeRoleWithWebIdentity: "
            f"{inputs.get('role-to-assume')!r} as {step.machine.subject}"
        )
    step.machine.env.update(role.credentials)
    step.machine.env.update(dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), inputs["aws-region"]))
    step.machine.mask(*(value for name, value in role.credentials.items() if name.startswith("AWS_S")))
    return {}


def create_github_app_token(step: Step, inputs: Inputs) -> dict[str, str]:
    """A token of an App that is installed here, for all that it may do or what `permission-*` asks of that."""
    app = step.machine.world.apps.get(inputs.get("app-id", ""))
    if app is None or inputs.get("private-key", "").strip() != app.private_key.strip():
        raise ActionFailed("A JSON web token could not be decoded: no such App, or not its private key")
    asked = {name[len("permission-") :]: value for name, value in inputs.items() if name.startswith("permission-")}
    for scope, access in asked.items():
        if app.permissions.get(scope) not in (access, "write"):
            raise ActionFailed(f"The permissions requested are not granted to this installation: {scope}: {access}")
    token = f"ghs_{secrets.token_hex(18)}"
    step.machine.mask(token)
    step.machine.repo.grant(token, asked or app.permissions, f"{app.slug}[bot]")
    step.machine.world.on_token(token, asked or app.permissions)
    return {"token": token, "installation-id": "1", "app-slug": app.slug}


# -- releases ----------------------------------------------------------------------------------------


def publish_to_pypi(step: Step, inputs: Inputs) -> dict[str, str]:
    """Records what would be uploaded."""
    if "password" not in inputs:
        step.need("id-token")
    step.machine.run.published += _distributions(step.inside(inputs.get("packages-dir", "dist")))
    return {}


def _distributions(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    if not files or any(not file.name.endswith((".whl", ".tar.gz")) for file in files):
        raise ActionFailed(f"{folder} holds no distributions, or more than these: {[file.name for file in files]}")
    return files


# -- Pages -------------------------------------------------------------------------------------------


def configure_pages(step: Step, inputs: Inputs) -> dict[str, str]:
    """Where the site of the repository is."""
    if "pages" not in step.machine.record.permissions:
        raise ActionFailed("Get Pages site failed: Resource not accessible by integration")
    owner, name = step.machine.repo.name.split("/")
    host = f"{owner.lower()}.github.io"
    origin = f"https://{host}"
    return {"base_url": f"{origin}/{name}", "origin": origin, "host": host, "base_path": f"/{name}"}


def upload_pages_artifact(step: Step, inputs: Inputs) -> dict[str, str]:
    """Keeps a folder as the artifact that is deployed, without hidden files."""
    folder = step.inside(inputs.get("path", "_site/"))
    if not folder.is_dir():
        raise ActionFailed(f"tar: {folder}: Cannot open: No such file or directory")
    name = inputs.get("name", "github-pages")
    target = step.machine.world.folder / f"run{step.machine.run.id}" / "artifacts" / name
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".[!.]*"))
    step.machine.run.artifacts[name] = target
    return {"artifact_id": str(len(step.machine.run.artifacts))}


def deploy_pages(step: Step, inputs: Inputs) -> dict[str, str]:
    """Puts that artifact in place of the site."""
    step.need("pages", "id-token")
    if not step.machine.record.environment:
        raise ActionFailed("Missing environment. Ensure your workflow's deployment job has an environment.")
    run, name = step.machine.run, inputs.get("artifact_name", "github-pages")
    if name not in run.artifacts:
        raise ActionFailed(f'No artifacts named "{name}" were found for this workflow run')
    run.deployed = run.artifacts[name]
    owner, repository = step.machine.repo.name.split("/")
    return {"page_url": f"https://{owner.lower()}.github.io/{repository}/"}


def upload_to_codecov(step: Step, inputs: Inputs) -> dict[str, str]:
    """Looks for the report, and for what shows Codecov whose it is."""
    if inputs.get("use_oidc") == "true":
        step.need("id-token")
    if not step.inside(inputs["files"]).is_file():
        raise ActionFailed(f"No coverage reports found: {inputs['files']}")
    return {}


@dataclass(frozen=True)
class Action:
    """The names of its inputs, and what it does."""

    inputs: str
    run: Callable[[Step, Inputs], dict[str, str]]


ACTIONS = {
    "actions/checkout": Action(
        "repository ref token ssh-key ssh-known-hosts ssh-strict ssh-user persist-credentials path clean filter "
        "sparse-checkout sparse-checkout-cone-mode fetch-depth fetch-tags show-progress lfs submodules "
        "set-safe-directory github-server-url",
        checkout,
    ),
    "actions/setup-python": Action(
        "python-version python-version-file cache architecture check-latest token cache-dependency-path "
        "update-environment allow-prereleases freethreaded",
        setup_python,
    ),
    "actions/setup-node": Action(
        "node-version node-version-file architecture check-latest registry-url scope token cache "
        "package-manager-cache cache-dependency-path mirror mirror-token",
        setup_node,
    ),
    "actions/upload-artifact": Action(
        "name path if-no-files-found retention-days compression-level overwrite include-hidden-files",
        upload_artifact,
    ),
    "actions/download-artifact": Action(
        "name artifact-ids path pattern merge-multiple github-token repository run-id",
        download_artifact,
    ),
    "aws-actions/configure-aws-credentials": Action(
        "aws-region role-to-assume aws-access-key-id aws-secret-access-key aws-session-token web-identity-token-file "
        "role-chaining audience http-proxy mask-aws-account-id role-duration-seconds role-external-id "
        "role-session-name role-skip-session-tagging inline-session-policy managed-session-policies "
        "output-credentials unset-current-credentials disable-retry retry-max-attempts "
        "special-characters-workaround use-existing-credentials",
        configure_aws_credentials,
    ),
    "actions/create-github-app-token": Action(
        "app-id private-key owner repositories skip-token-revoke github-api-url",
        create_github_app_token,
    ),
    "pypa/gh-action-pypi-publish": Action(
        "user password repository-url packages-dir verify-metadata skip-existing verbose print-hash attestations",
        publish_to_pypi,
    ),
    "actions/configure-pages": Action("static_site_generator generator_config_file token enablement", configure_pages),
    "actions/upload-pages-artifact": Action("name path retention-days", upload_pages_artifact),
    "codecov/codecov-action": Action(
        "binary directory disable_search env_vars exclude fail_ci_if_error files flags handle_no_reports_found name "
        "override_branch override_commit override_pr plugins report_type root_dir slug token url use_oidc verbose "
        "version working-directory",
        upload_to_codecov,
    ),
    "actions/deploy-pages": Action("token timeout error_count reporting_interval artifact_name preview", deploy_pages),
}
"""Each action with the inputs that it declares. `permission-*` of create-github-app-token are too many to list."""
