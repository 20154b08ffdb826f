"""Pull requests, issues, comments and labels."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import unquote

from tests.servers.github_call import Call, Refused, Routes, answer, invalid
from tests.servers.github_contents import R, find_head, listed, must_hold
from tests.servers.github_git import NO_OBJECT
from tests.servers.github_records import Comment, Issue, Json, Label, Pull, Repo
from tests.servers.web import Response

ROUTES = Routes()

# -- pull requests ---------------------------------------------------------------------------------


def look_at_branches(call: Call, repo: Repo, issue: Issue) -> None:
    """Follow the branches of an open pull request: `refs/pull/N/head` is its newest commit; without it is closed."""
    pull = issue.pull
    if pull is None or issue.state != "open":
        return
    head = call.records.repo(pull.head_repo)
    sha = head.git.branch(pull.head_ref) if head else None
    pull.base_sha = repo.git.branch(pull.base_ref) or pull.base_sha
    if head is None or sha is None:
        _set_state(issue, "closed", None, issue.user, call.now)
        return
    kept = f"refs/pull/{issue.number}/head"
    held = repo.git.ref(kept)
    if held is None or held[1] != sha:
        if head is repo:
            repo.git.move_ref(kept, sha, held[1] if held else NO_OBJECT)
        else:
            repo.git.fetch(head.git.path, sha, kept)
        pull.head_sha = sha


def _pulls(call: Call) -> list[Issue]:
    repo = call.repo
    for issue in repo.issues.values():
        look_at_branches(call, repo, issue)
    return [issue for issue in repo.issues.values() if issue.pull]


@ROUTES.on("GET", f"{R}/pulls")
def list_pulls(call: Call) -> Response:
    state, head, base = call.query.get("state", "open"), call.query.get("head"), call.query.get("base")
    found = []
    for issue in _pulls(call):
        pull = issue.pull
        if pull is None or (state != "all" and issue.state != state) or (base and pull.base_ref != base):
            continue
        # a filter that names no owner is ignored
        if head and ":" in head and head != f"{pull.head_repo.partition('/')[0]}:{pull.head_ref}":
            continue
        found.append(issue)
    found.sort(key=lambda issue: issue.number, reverse=call.query.get("direction", "desc") == "desc")
    return call.page(found, lambda issue: call.write.pull(call.repo, issue, call.login))


@ROUTES.on("POST", f"{R}/pulls")
def create_pull(call: Call) -> Response:
    login = call.need("pull", "pull_requests")
    repo, body = call.repo, call.json()
    title, head, base = (call.text(body, name, "PullRequest") for name in ("title", "head", "base"))
    head_repo = find_head(call, head)
    branch = head.rpartition(":")[2]
    sha = head_repo.git.branch(branch) if head_repo else None
    if head_repo is None or sha is None:
        raise invalid("PullRequest", "head")
    base_sha = repo.git.branch(base)
    if base_sha is None:
        raise invalid("PullRequest", "base")
    if not (repo.allows(login, "push") or head_repo.allows(login, "push")):
        raise Refused(403, "Resource not accessible by personal access token")
    label = f"{head_repo.owner}:{branch}"
    for issue in _pulls(call):
        pull = issue.pull
        same = pull and (pull.head_repo, pull.head_ref, pull.base_ref) == (head_repo.full_name, branch, base)
        if same and issue.state == "open":
            raise _custom(f"A pull request already exists for {label}.")
    if head_repo.git.is_ancestor(sha, base_sha):
        raise _custom(f"No commits between {base} and {head}")
    issue = _new_issue(call, title, body.get("body"), login)
    may_modify = body.get("maintainer_can_modify", head_repo is not repo)
    draft = bool(body.get("draft", False))
    issue.pull = Pull(head_repo.full_name, branch, base, sha, base_sha, draft, bool(may_modify))
    look_at_branches(call, repo, issue)
    return answer(call.write.pull(repo, issue, login, full=True), 201)


def _custom(message: str) -> Refused:
    return Refused(422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": message}])


def _pull(call: Call) -> tuple[Issue, Pull]:
    issue = call.repo.issues.get(_number(call.params["pull_number"]))
    if issue is None or issue.pull is None:
        raise Refused(404, "Not Found")
    look_at_branches(call, call.repo, issue)
    return issue, issue.pull


@ROUTES.on("GET", f"{R}/pulls/{{pull_number}}")
def get_pull(call: Call) -> Response:
    issue, _ = _pull(call)
    return answer(call.write.pull(call.repo, issue, call.login, full=True))


@ROUTES.on("PATCH", f"{R}/pulls/{{pull_number}}")
def edit_pull(call: Call) -> Response:
    login = call.need("pull", "pull_requests")
    issue, pull = _pull(call)
    _check_author(call, issue, login, "pull_requests")
    body = call.json()
    if "base" in body:
        if call.repo.git.branch(str(body["base"])) is None:
            raise invalid("PullRequest", "base")
        pull.base_ref = str(body["base"])
    _edit(call, issue, body, login, "PullRequest")
    return answer(call.write.pull(call.repo, issue, login, full=True))


@ROUTES.on("GET", f"{R}/pulls/{{pull_number}}/commits")
def list_pull_commits(call: Call) -> Response:
    _, pull = _pull(call)
    commits = call.repo.git.log("--reverse", f"{pull.base_sha}..{pull.head_sha}")
    return call.page(listed(call, commits), lambda commit: commit)


@ROUTES.on("GET", f"{R}/pulls/{{pull_number}}/files")
def list_pull_files(call: Call) -> Response:
    _, pull = _pull(call)
    git = call.repo.git
    files = git.changed_files(git.merge_base(pull.base_sha, pull.head_sha), pull.head_sha)
    return call.page(files, lambda file: call.write.file(call.repo, pull.head_sha, file))


# -- issues ----------------------------------------------------------------------------------------


@ROUTES.on("GET", f"{R}/issues")
def list_issues(call: Call) -> Response:
    """Pull requests are listed too, as GitHub does."""
    _pulls(call)
    state, wanted = call.query.get("state", "open"), call.query.get("labels", "")
    labels = {name.strip().lower() for name in wanted.split(",") if name.strip()}
    found = [
        issue
        for issue in call.repo.issues.values()
        if state in ("all", issue.state) and labels <= {name.lower() for name in issue.labels}
    ]
    found.sort(key=lambda issue: issue.number, reverse=call.query.get("direction", "desc") == "desc")
    return call.page(found, lambda issue: call.write.issue(call.repo, issue))


@ROUTES.on("POST", f"{R}/issues")
def create_issue(call: Call) -> Response:
    login = call.need("pull", "issues")
    body = call.json()
    issue = _new_issue(call, call.text(body, "title", "Issue"), body.get("body"), login)
    if call.repo.allows(login, "push"):  # labels of others are silently dropped
        issue.labels = _labels(call, body.get("labels") or [])
    return answer(call.write.issue(call.repo, issue), 201)


@ROUTES.on("GET", f"{R}/issues/{{issue_number}}")
def get_issue(call: Call) -> Response:
    return answer(call.write.issue(call.repo, _issue(call)))


@ROUTES.on("PATCH", f"{R}/issues/{{issue_number}}")
def edit_issue(call: Call) -> Response:
    login = call.need("pull", "issues")
    issue, body = _issue(call), call.json()
    _check_author(call, issue, login, "issues")
    if "labels" in body and call.repo.allows(login, "push"):
        issue.labels = _labels(call, body["labels"])
    _edit(call, issue, body, login, "Issue")
    return answer(call.write.issue(call.repo, issue))


@ROUTES.on("GET", f"{R}/issues/{{issue_number}}/comments")
def list_comments(call: Call) -> Response:
    issue = _issue(call)
    return call.page(issue.comments, lambda comment: call.write.comment(call.repo, issue, comment))


@ROUTES.on("POST", f"{R}/issues/{{issue_number}}/comments")
def create_comment(call: Call) -> Response:
    login = call.need("pull", "issues")
    issue = _issue(call)
    comment = Comment(call.records.next_id(), login, call.text(call.json(), "body", "IssueComment"), call.now)
    issue.comments.append(comment)
    issue.updated = call.now
    return answer(call.write.comment(call.repo, issue, comment), 201)


def _issue(call: Call) -> Issue:
    issue = call.repo.issues.get(_number(call.params["issue_number"]))
    if issue is None:
        raise Refused(404, "Not Found")
    return issue


def _new_issue(call: Call, title: str, body: object, login: str) -> Issue:
    if body is not None:
        _check_length(must_hold(body, "Issue", "body"))
    number = max(call.repo.issues, default=0) + 1
    text = body if isinstance(body, str) else None
    issue = Issue(call.records.next_id(), number, title, text, login, call.now, call.now)
    call.repo.issues[number] = issue
    return issue


def _edit(call: Call, issue: Issue, body: Json, login: str, resource: str) -> None:
    if body.get("title") is not None:
        issue.title = must_hold(body["title"], resource, "title")
    if body.get("body") is not None:
        issue.body = must_hold(body["body"], resource, "body")
        _check_length(issue.body)
    if body.get("state") is not None:
        if body["state"] not in ("open", "closed"):
            raise invalid(resource, "state")
        _set_state(issue, body["state"], body.get("state_reason"), login, call.now)
    issue.updated = call.now


def _set_state(issue: Issue, state: str, reason: str | None, login: str, now: datetime) -> None:
    is_closed = state == "closed"
    issue.state = state
    issue.closed, issue.closed_by = (now, login) if is_closed else (None, None)
    issue.state_reason = (reason or "completed") if is_closed else "reopened"


def _check_author(call: Call, issue: Issue, login: str, area: str) -> None:
    if issue.user != login:
        call.need("push", area)


def _check_length(body: str) -> None:
    if len(body) > 65536:
        raise Refused(
            422,
            "Validation Failed",
            [{"resource": "Issue", "code": "custom", "field": "body", "message": "body is too long (65536 at most)"}],
        )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


# -- labels ----------------------------------------------------------------------------------------


@ROUTES.on("GET", f"{R}/labels")
def list_labels(call: Call) -> Response:
    return call.page(list(call.repo.labels.values()), lambda label: call.write.label(call.repo, label))


@ROUTES.on("POST", f"{R}/labels")
def create_label(call: Call) -> Response:
    call.need("push", "issues")
    body = call.json()
    name = call.text(body, "name", "Label")
    if name.lower() in call.repo.labels:
        raise invalid("Label", "name", "already_exists")
    label = _add_label(call, name, body.get("color") or "ededed", body.get("description"))
    return answer(call.write.label(call.repo, label), 201)


@ROUTES.on("GET", f"{R}/labels/{{name}}")
def get_label(call: Call) -> Response:
    label = call.repo.labels.get(unquote(call.params["name"]).lower())
    if label is None:
        raise Refused(404, "Not Found")
    return answer(call.write.label(call.repo, label))


def _add_label(call: Call, name: str, color: str, description: str | None = None) -> Label:
    label = Label(call.records.next_id(), name, color.lower(), description)
    call.repo.labels[name.lower()] = label
    return label


def _labels(call: Call, names: list[object]) -> list[str]:
    """The names, each a label of the repository from now on."""
    texts = [str(name["name"]) if isinstance(name, dict) else str(name) for name in names]
    for text in texts:
        if text.lower() not in call.repo.labels:
            _add_label(call, text, "ededed")
    return texts
