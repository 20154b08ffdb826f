"""Repositories and what git holds: forks, refs, commits, trees, blobs, files, branches, comparisons."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import datetime, timezone

from tests.servers.github_call import Call, Refused, Routes, answer, invalid
from tests.servers.github_git import NO_OBJECT, Commit, GitError, GitRepo, Signature, clone_bare, iso
from tests.servers.github_json import address_of
from tests.servers.github_records import Json, Repo
from tests.servers.web import Response

ROUTES = Routes()
R = "/repos/{owner}/{repo}"
RULES = "Repository rule violations found\n\nChanges must be made through a pull request.\n\n"
_BOUNDS = {"since": "max", "until": "min"}
_FILES, _FILES_A_PAGE = 3000, 300
_BAD_REF = re.compile(r"[~^:?*\[\\\s]|\.\.|@\{|//|/$|\.$|\.lock$")


@ROUTES.on("GET", "/user")
def get_user(call: Call) -> Response:
    login = call.user()
    if call.token and call.token.is_app:
        raise Refused(403, "Resource not accessible by integration")
    return answer(call.write.own_user(login))


@ROUTES.on("GET", "/rate_limit")
def get_rate_limit(call: Call) -> Response:
    core = call.server.budget(call.login).told()
    search = {**core, "limit": 30, "remaining": 30, "used": 0}
    return answer({"resources": {"core": core, "search": search}, "rate": core})


@ROUTES.on("GET", R)
def get_repo(call: Call) -> Response:
    return answer(call.write.repo(call.repo, call.login, full=True))


@ROUTES.on("GET", f"{R}/forks")
def list_forks(call: Call) -> Response:
    forks = [fork for fork in call.records.forks(call.repo) if fork.allows(call.login, "pull")]
    return call.page(forks, lambda fork: call.write.repo(fork, call.login))


@ROUTES.on("POST", f"{R}/forks")
def create_fork(call: Call) -> Response:
    """The fork that the user has already, or a new one, which may take a moment to be ready."""
    repo, login = call.repo, call.user()
    if call.token and (call.token.is_app or "administration" not in call.token.may_write):
        call.need("admin", "administration")
        raise Refused(403, "Resource not accessible by integration")
    if repo.owner == login:
        raise Refused(403, "You cannot fork your own repository")
    for fork in call.records.forks(repo):
        if fork.owner == login:
            return answer(call.write.repo(fork, login, full=True), 202)
    name, count = repo.name, 1
    while call.records.repo(f"{login}/{name}"):  # taken by something else
        name, count = f"{repo.name}-{count}", count + 1
    path = repo.git.path.with_name(f"{repo.git.path.stem}-{login}-{name}.git")
    clone_bare(repo.git.path, path, shares=call.server.forks_share)
    fork = call.server.add_repo(f"{login}/{name}", path, default_branch=repo.default_branch)
    fork.parent, fork.busy = repo, call.server.fork_takes
    return answer(call.write.repo(fork, login, full=True), 202)


@ROUTES.on("POST", f"{R}/merge-upstream")
def merge_upstream(call: Call) -> Response:
    """Bring a branch of a fork to where it is in its source, if nothing of its own stands on it."""
    call.need("push", "contents")
    repo, branch = call.repo, call.text(call.json(), "branch", "Repository")
    new, old = repo.parent.git.branch(branch) if repo.parent else None, repo.git.branch(branch)
    if repo.parent is None or new is None or old is None:
        raise Refused(422, "There is no such branch in both the fork and its source")
    if not repo.parent.git.is_ancestor(old, new):
        raise Refused(409, "There are merge conflicts")
    repo.git.fetch(repo.parent.git.path, new, f"refs/heads/{branch}")
    kind = "none" if new == old else "fast-forward"
    return answer({"message": "done", "merge_type": kind, "base_branch": f"{repo.parent.owner}:{branch}"})


# -- refs ------------------------------------------------------------------------------------------


def ready(call: Call) -> GitRepo:
    """The repository's git, once there is one."""
    repo = call.repo
    if repo.busy:
        repo.busy -= 1
        raise Refused(409, "Git Repository is empty.")
    return repo.git


@ROUTES.on("GET", f"{R}/git/ref/{{ref}}")
def get_ref(call: Call) -> Response:
    name = f"refs/{call.params['ref']}"
    found = ready(call).ref(name)
    if found is None:
        raise Refused(404, "Not Found")
    return answer(call.write.ref(call.repo, name, *found))


@ROUTES.on("GET", f"{R}/git/matching-refs/{{ref}}")
def matching_refs(call: Call) -> Response:
    found = ready(call).refs(f"refs/{call.params['ref']}")
    return call.page(found, lambda item: call.write.ref(call.repo, item[0], *item[1]))


@ROUTES.on("POST", f"{R}/git/refs")
def create_ref(call: Call) -> Response:
    call.need("push", "contents")
    git, body = ready(call), call.json()
    name, sha = call.text(body, "ref", "Reference"), call.text(body, "sha", "Reference")
    if not name.startswith("refs/") or name.count("/") < 2 or _BAD_REF.search(name):
        raise Refused(422, f"{name} is not a valid ref name.")
    if git.type_of(sha) != "commit":
        raise Refused(422, "Object does not exist")
    _check_rules(call.repo, name)
    _move(git, name, sha, NO_OBJECT, "Reference already exists")
    return answer(call.write.ref(call.repo, name, "commit", sha), 201)


@ROUTES.on("PATCH", f"{R}/git/refs/{{ref}}")
def update_ref(call: Call) -> Response:
    call.need("push", "contents")
    git, body, name = ready(call), call.json(), f"refs/{call.params['ref']}"
    sha, found = call.text(body, "sha", "Reference"), git.ref(name)
    if found is None:
        raise Refused(422, "Reference does not exist")
    if git.type_of(sha) != "commit":
        raise Refused(422, "Object does not exist")
    _check_rules(call.repo, name)
    if not body.get("force") and not git.is_ancestor(found[1], sha):
        raise Refused(422, "Update is not a fast forward")
    _move(git, name, sha, found[1], "Reference cannot be updated")
    return answer(call.write.ref(call.repo, name, "commit", sha))


@ROUTES.on("DELETE", f"{R}/git/refs/{{ref}}")
def delete_ref(call: Call) -> Response:
    call.need("push", "contents")
    git, name = ready(call), f"refs/{call.params['ref']}"
    found = git.ref(name)
    if found is None:
        raise Refused(422, "Reference does not exist")
    _check_rules(call.repo, name)
    git.delete_ref(name, found[1])
    return answer(None, 204)


def _check_rules(repo: Repo, ref: str) -> None:
    if ref.removeprefix("refs/heads/") in repo.protected:
        raise Refused(422, RULES)


def _move(git: GitRepo, name: str, new: str, old: str, otherwise: str) -> None:
    try:
        git.move_ref(name, new, old)
    except GitError:
        raise Refused(422, otherwise) from None


# -- objects ---------------------------------------------------------------------------------------


@ROUTES.on("GET", f"{R}/git/blobs/{{file_sha}}")
def get_blob(call: Call) -> Response:
    git, sha = ready(call), call.params["file_sha"]
    if git.type_of(sha) != "blob":
        raise Refused(404, "Not Found")
    return answer(call.write.blob(call.repo, sha, git.blob(sha)))


@ROUTES.on("POST", f"{R}/git/blobs")
def create_blob(call: Call) -> Response:
    call.need("push", "contents")
    body = call.json()
    content = _decoded(body) if body.get("encoding") == "base64" else str(body.get("content", "")).encode()
    sha = ready(call).write_blob(content)
    return answer({"sha": sha, "url": f"{call.write.repo_url(call.repo)}/git/blobs/{sha}"}, 201)


@ROUTES.on("GET", f"{R}/git/trees/{{tree_sha}}")
def get_tree(call: Call) -> Response:
    git, name = ready(call), call.params["tree_sha"]
    sha = name if git.type_of(name) == "tree" else git.line("rev-parse", f"{git.resolve(name)}^{{tree}}")
    if not sha:
        raise Refused(404, "Not Found")
    return answer(call.write.tree(call.repo, sha, git.tree(sha, recursive="recursive" in call.query)))


@ROUTES.on("POST", f"{R}/git/trees")
def create_tree(call: Call) -> Response:
    call.need("push", "contents")
    git, body = ready(call), call.json()
    base, listed = body.get("base_tree"), body.get("tree")
    if base and git.type_of(base) not in ("tree", "commit"):
        raise Refused(404, "Not Found")
    if not isinstance(listed, list) or not listed:
        raise Refused(422, "Invalid tree info")
    try:
        sha = git.write_tree(base, [_tree_change(git, item) for item in listed])
    except GitError as refused:
        raise Refused(422, f"GitRPC::BadObjectState: {refused}") from None
    return answer(call.write.tree(call.repo, sha, git.tree(sha)), 201)


def _tree_change(git: GitRepo, item: Json) -> tuple[str, str | None, str]:
    mode, path = item.get("mode"), item.get("path")
    if mode not in ("100644", "100755", "040000", "160000", "120000") or not path:
        raise Refused(422, "Must supply a valid tree.mode and tree.path")
    if {"", ".", "..", ".git"} & set(path.split("/")):
        raise Refused(422, "tree.path contains a malformed path component")
    if "content" in item:
        return mode, git.write_blob(str(item["content"]).encode()), path
    sha = item.get("sha")
    if sha is not None and mode != "160000" and not git.type_of(sha):
        raise Refused(422, f"tree.sha {sha} is not a valid object")
    return mode, sha, path


@ROUTES.on("GET", f"{R}/git/commits/{{commit_sha}}")
def get_git_commit(call: Call) -> Response:
    git, sha = ready(call), call.params["commit_sha"]
    if git.type_of(sha) != "commit":
        raise Refused(404, "Not Found")
    return answer(call.write.git_commit(call.repo, git.commit(sha)))


@ROUTES.on("POST", f"{R}/git/commits")
def create_commit(call: Call) -> Response:
    call.need("push", "contents")
    git, body = ready(call), call.json()
    tree, parents = call.text(body, "tree", "Commit"), body.get("parents") or []
    if git.type_of(tree) != "tree":
        raise Refused(422, "Tree SHA does not exist")
    if any(git.type_of(parent) != "commit" for parent in parents):
        raise Refused(422, "Parent SHA does not exist or is not a commit object")
    sha = _commit(call, git, tree, parents, call.text(body, "message", "Commit"), body)
    return answer(call.write.git_commit(call.repo, git.commit(sha)), 201)


def _commit(call: Call, git: GitRepo, tree: str, parents: list[str], message: str, body: Json) -> str:
    login = call.user()
    me = {"name": login, "email": address_of(login), "date": iso(call.now)}
    author = {**me, **(body.get("author") or {})}
    committer = {**author, **(body.get("committer") or {})}
    people = (Signature(who["name"], who["email"], who["date"]) for who in (author, committer))
    return git.write_commit(tree, parents, message, *people)


def _decoded(body: Json) -> bytes:
    try:
        return base64.b64decode(str(body.get("content", "")), validate=False)
    except binascii.Error:
        raise Refused(422, "content is not valid Base64") from None


# -- files -----------------------------------------------------------------------------------------


@ROUTES.on("GET", f"{R}/contents/{{path}}")
def get_content(call: Call) -> Response:
    git, path = ready(call), call.params["path"].strip("/")
    ref = call.query.get("ref") or call.repo.default_branch
    commit = git.resolve(ref)
    if commit is None:
        raise Refused(404, f"No commit found for the ref {ref}")
    entry = git.entry(commit, path) if path else None
    if entry is None and path:
        raise Refused(404, "Not Found")
    if entry is None or entry.type == "tree":
        inside = [(f"{path}/{child.path}".lstrip("/"), child) for child in git.tree(f"{commit}:{path}")]
        return answer([call.write.content(call.repo, ref, child, full, None) for full, child in inside[:1000]])
    content = git.blob(entry.sha)
    if "raw" in call.request.headers.get("accept", ""):
        return Response(200, {"content-type": "application/vnd.github.raw; charset=utf-8"}, content)
    return answer(call.write.content(call.repo, ref, entry, path, content))


@ROUTES.on("PUT", f"{R}/contents/{{path}}")
def put_content(call: Call) -> Response:
    """One commit with one file, if the branch still holds the version that the caller has seen."""
    call.need("push", "contents")
    git, repo, body, path = ready(call), call.repo, call.json(), call.params["path"]
    message, branch = call.text(body, "message", "Commit"), body.get("branch") or repo.default_branch
    head = git.branch(branch)
    if head is None:
        raise Refused(404, f"Branch {branch} not found")
    if branch in repo.protected:
        raise Refused(409, RULES)
    entry, seen = git.entry(head, path), body.get("sha")
    if entry and not seen:
        raise Refused(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    if seen and (entry is None or entry.sha != seen):
        raise Refused(409, f"{path} does not match {seen}")
    blob = git.write_blob(_decoded(body))
    tree = git.write_tree(head, [(entry.mode if entry else "100644", blob, path)])
    commit = _commit(call, git, tree, [head], message, body)
    try:
        git.move_ref(f"refs/heads/{branch}", commit, head)
    except GitError:
        raise Refused(409, f"is at {git.branch(branch)} but expected {head}") from None
    written = git.entry(commit, path)
    if written is None:
        raise Refused(422, f"{path} is not a valid path")
    shown = call.write.content(repo, branch, written, path, None)
    return answer({"content": shown, "commit": call.write.git_commit(repo, git.commit(commit))}, 200 if entry else 201)


# -- branches and commits --------------------------------------------------------------------------


@ROUTES.on("GET", f"{R}/branches")
def list_branches(call: Call) -> Response:
    git = ready(call)
    names = [(name.removeprefix("refs/heads/"), sha) for name, (_, sha) in git.refs("refs/heads/")]
    if "protected" in call.query:
        names = [item for item in names if (item[0] in call.repo.protected) == (call.query["protected"] == "true")]
    return call.page(names, lambda item: call.write.branch(call.repo, item[0], git.commit(item[1]), full=False))


@ROUTES.on("GET", f"{R}/branches/{{branch}}")
def get_branch(call: Call) -> Response:
    git, name = ready(call), call.params["branch"]
    sha = git.branch(name)
    if sha is None:
        raise Refused(404, "Branch not found")
    return answer(call.write.branch(call.repo, name, git.commit(sha), full=True))


@ROUTES.on("GET", f"{R}/commits")
def list_commits(call: Call) -> Response:
    git, start = ready(call), call.query.get("sha") or call.repo.default_branch
    sha = git.resolve(start)
    if sha is None:
        raise Refused(404, "Not Found")
    # both bounds belong to what is asked for
    bounds = [f"--{kind}-age={_seconds(call.query[name])}" for name, kind in _BOUNDS.items() if name in call.query]
    path = call.query.get("path", "").strip("/")
    shas = git.git("--literal-pathspecs", "rev-list", *bounds, sha, "--", *([path] if path else [])).decode().split()
    return call.page(shas, lambda one: call.write.commit(call.repo, git.commit(one)))


def _seconds(time: str) -> int:
    """Seconds since 1970 of a time that a query holds; whatever GitHub makes of one that is none, it is no refusal."""
    try:
        moment = datetime.fromisoformat(time.replace("Z", "+00:00"))
    except ValueError:
        return 0
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp())


@ROUTES.on("GET", f"{R}/commits/{{ref}}")
def get_commit(call: Call) -> Response:
    """A commit with a page of the files that it changed: 300 where no number is asked for."""
    git = ready(call)
    sha = git.resolve(call.params["ref"])
    if sha is None:
        raise Refused(422, f"No commit found for SHA: {call.params['ref']}")
    commit = git.commit(sha)
    parent = commit.parents[0] if commit.parents else git.write_tree(None, [])
    files = git.changed_files(parent, sha)[:_FILES]
    shown = call.cut(files, _FILES_A_PAGE)
    return answer(call.write.commit(call.repo, commit, shown), 200, **call.links(files, _FILES_A_PAGE))


@ROUTES.on("GET", f"{R}/compare/{{basehead}}")
def compare(call: Call) -> Response:
    """What `head` has that `base` has not; either may be of another repository of the network (`owner:branch`)."""
    ready(call)
    base_name, dots, head_name = call.params["basehead"].partition("...")
    base_repo, base = _end(call, base_name)
    head_repo, head = _end(call, head_name)
    if not dots or base is None or head is None:
        raise Refused(404, "Not Found")
    git = GitRepo(base_repo.git.path, beside=[head_repo.git.path])
    shared = git.merge_base(base, head)
    if not shared:
        raise Refused(404, f"No common ancestor between {base_name} and {head_name}.")
    commits = git.log("--reverse", f"{base}..{head}")
    behind = len(git.log(f"{head}..{base}"))
    status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
    url = f"{call.write.repo_url(call.repo)}/compare/{base}...{head}"
    html = f"https://github.com/{call.repo.full_name}/compare/{base}...{head}"
    return answer(
        {
            "url": url,
            "html_url": html,
            "permalink_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "base_commit": call.write.commit(call.repo, git.commit(base)),
            "merge_base_commit": call.write.commit(call.repo, git.commit(shared)),
            "status": status.get((bool(commits), bool(behind)), "diverged"),
            "ahead_by": len(commits),
            "behind_by": behind,
            "total_commits": len(commits),
            "commits": listed(call, commits[:250]),
            "files": [call.write.file(call.repo, head, file) for file in git.changed_files(shared, head)[:300]],
        }
    )


def listed(call: Call, commits: Iterable[Commit]) -> list[Json]:
    return [call.write.commit(call.repo, commit) for commit in commits]


def _end(call: Call, name: str) -> tuple[Repo, str | None]:
    """The repository and commit that one side of a comparison names."""
    repo = find_head(call, name)
    if repo is None:
        raise Refused(404, "Not Found")
    return repo, repo.git.resolve(name.rpartition(":")[2])


def find_head(call: Call, name: str) -> Repo | None:
    """The repository of the network that `branch`, `owner:branch` or `owner:repo:branch` means."""
    owner, _, rest = name.partition(":")
    if not rest or owner == call.repo.owner:
        return call.repo
    network = [repo for repo in call.records.repos.values() if repo.source is call.repo.source]
    return next((repo for repo in network if repo.owner == owner), None)


def must_hold(value: object, resource: str, field_name: str) -> str:
    """A text, as a field of a body. Refused (422) otherwise."""
    if not isinstance(value, str):
        raise invalid(resource, field_name)
    return value
