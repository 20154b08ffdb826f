"""Settings from an environment and the nearest .env."""

from __future__ import annotations

from pathlib import Path

import pytest

from npc_lims.config.settings import SETTINGS, Settings, load_settings, settings_for_reading
from npc_lims.errors import SettingsError

TOKEN = "cop_" + "a" * 20


def load(folder: Path, **environ: str) -> Settings:
    return load_settings(environ, folder)


def dotenv(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".env").write_text(text, encoding="utf-8")


def values_of(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in SETTINGS}


def token_of(settings: Settings) -> str | None:
    return None if settings.codeocean_token is None else settings.codeocean_token.get_secret_value()


def test_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert values_of(settings) == values_of(Settings())
    assert (settings.repo, settings.ref, settings.ttl) == ("AllenInstitute/npc_lims", "main", 600)
    assert (settings.raw_url, settings.state, settings.mirror) == ("https://raw.githubusercontent.com", None, None)
    assert settings.codeocean_token is None


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("CODE_OCEAN_DOMAIN", "https://a.org/", "codeocean_domain", "https://a.org"),
        ("NPC_LIMS_REPO", "me/fork", "repo", "me/fork"),
        ("NPC_LIMS_REF", "a-branch", "ref", "a-branch"),
        ("NPC_LIMS_RAW_URL", "http://127.0.0.1:8000/", "raw_url", "http://127.0.0.1:8000"),
        ("GITHUB_API_URL", "http://localhost:8000", "github_api_url", "http://localhost:8000"),
        ("NPC_LIMS_PAGES_URL", "https://lab.org/site/", "pages_url", "https://lab.org/site"),
        ("NPC_LIMS_PAGES_URL", "off", "pages_url", "off"),
        ("NPC_LIMS_STATE", "some/state", "state", Path("some/state")),
        ("NPC_LIMS_CACHE_DIR", "some/cache", "cache_dir", Path("some/cache")),
        ("NPC_LIMS_TTL", "0", "ttl", 0),
        ("NPC_LIMS_MIRROR", "some/mirror", "mirror", Path("some/mirror")),
        ("NPC_LIMS_TRAINING_COLUMNS", " hits, pass ,,", "training_columns", ("hits", "pass")),
        ("NPC_LIMS_STIM_ROOT", "s3://a/b/", "stim_root", "s3://a/b"),
        ("AWS_DEFAULT_REGION", "us-west-2", "aws_default_region", "us-west-2"),
        ("AWS_REGION", "us-west-2", "aws_default_region", "us-west-2"),
        ("AWS_ENDPOINT_URL", "http://10.0.0.1:8333", "aws_endpoint_url", "http://10.0.0.1:8333"),
        ("NPC_LIMS_S3_WORKERS", "4", "s3_workers", 4),
    ],
)
def test_variables(tmp_path: Path, variable: str, value: str, field: str, expected: object) -> None:
    assert getattr(load(tmp_path, **{variable: value}), field) == expected


def test_the_more_special_variable_wins(tmp_path: Path) -> None:
    settings = load(tmp_path, AWS_ENDPOINT_URL="http://a", AWS_ENDPOINT_URL_S3="http://b")
    assert settings.aws_endpoint_url == "http://b"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NPC_LIMS_TTL", "soon"),
        ("NPC_LIMS_TTL", "-1"),
        ("NPC_LIMS_REPO", "npc_lims"),
        ("NPC_LIMS_REPO", "a/b/../c"),
        ("NPC_LIMS_STIM_ROOT", "/data"),
        ("NPC_LIMS_ATTEMPTS", "0"),
        ("NPC_LIMS_TIMEOUT", "inf"),
        ("NPC_LIMS_TIMEOUT", "nan"),
        ("NPC_LIMS_BACKOFF", "1e300"),
        ("CODE_OCEAN_DOMAIN", "codeocean.org"),
        ("CODE_OCEAN_DOMAIN", "http://codeocean.org"),
        ("CODE_OCEAN_DOMAIN", "https://"),
        ("NPC_LIMS_RAW_URL", "http://127.0.0.1.elsewhere.org"),
        ("NPC_LIMS_RAW_URL", "http://localhost.elsewhere.org"),
        ("GITHUB_API_URL", "http://localhost@elsewhere.org"),
        ("CODE_OCEAN_DOMAIN", "https://host.org:port"),
        ("NPC_LIMS_REF", "../../other/repo/main"),
        ("NPC_LIMS_REF", "a/./b"),
        ("NPC_LIMS_REF", "main..x"),
        ("NPC_LIMS_REF", "a\nb"),
        ("NPC_LIMS_REF", "https://me:pw@example.org"),
        ("NPC_LIMS_REF", "main?sig=1"),
        ("NPC_LIMS_REPO", "../a"),
        ("NPC_LIMS_TRAINING", "gs://bucket/folder"),
        ("NPC_LIMS_CODEOCEAN_BUCKET", "a/b"),
    ],
)
def test_an_unusable_value_names_its_variable(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"unusable settings \(environment\): {variable}: \w"):
        load(tmp_path, **{variable: value})


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a b", "tok\u00e9n", " \t", "a\x00b"], ids=ascii)
@pytest.mark.parametrize(
    "variable",
    ["CODE_OCEAN_API_TOKEN", "GITHUB_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
)
def test_a_secret_that_no_header_can_hold_is_refused_without_being_shown(
    tmp_path: Path, variable: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=rf"{variable}: holds characters that no token has") as caught:
        load(tmp_path, **{variable: f"hunter2{value}"})
    assert "hunter2" not in f"{caught.value!r} {caught.value}"


_URLS = (
    "https://user:hunter2@host.org/a",
    "https://hunter2@host.org",
    "https://host.org/a?sig=hunter2",
    "https://host.org/a#hunter2",
    "https://host.org/\nhunter2",
    "https://user:hunter2\u2100@host.org/",  # what urllib quotes in the message of its error
    "https://[hunter2/",
)
_S3_URLS = tuple(url.replace("https", "s3", 1) for url in _URLS)
_SHARES = (
    r"\\user:hunter2@server\share",
    "//user:hunter2@server/share",
    r"\\hunter2@server\share",
    r"\\?\UNC\user:hunter2@server\share",
    "https://user:hunter2@host.org/a",
)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(
            (variable, url)
            for variable in (
                "CODE_OCEAN_DOMAIN",
                "GITHUB_API_URL",
                "NPC_LIMS_RAW_URL",
                "NPC_LIMS_PAGES_URL",
                "NPC_LIMS_PYPI_URL",
                "AWS_ENDPOINT_URL",
                "AWS_ENDPOINT_URL_S3",
            )
            for url in _URLS
        ),
        *((variable, url) for variable in ("NPC_LIMS_TRAINING", "NPC_LIMS_STIM_ROOT") for url in _S3_URLS),
        *(
            (variable, share)
            for variable in ("NPC_LIMS_TRAINING", "NPC_LIMS_STATE", "NPC_LIMS_CACHE_DIR", "NPC_LIMS_MIRROR")
            for share in _SHARES
        ),
    ],
)
def test_an_address_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}: ") as caught:
        load(tmp_path, **{variable: value})
    assert "hunter2" not in f"{caught.value!r} {caught.value}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, value)
    name = next(name for name, setting in SETTINGS.items() if variable in setting.variables)
    with pytest.raises(SettingsError) as again:
        getattr(settings_for_reading(), name)
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NPC_LIMS_TRAINING", r"\\server\share\training"),
        ("NPC_LIMS_TRAINING", r"\\server@SSL@8443\DavWWWRoot\training"),
        ("NPC_LIMS_TRAINING", "//allen/programs/a@b"),
        ("NPC_LIMS_TRAINING", "/home/someone@lab.org/training"),
        ("NPC_LIMS_TRAINING", "s3://bucket/a folder/a@b/"),
        ("NPC_LIMS_STATE", "C:\\Users\\me@lab.org\\state"),
        ("NPC_LIMS_REF", "feature/a.b@x"),
        ("NPC_LIMS_REPO", "lab/.github"),
    ],
)
def test_what_only_looks_like_a_secret_is_taken(tmp_path: Path, variable: str, value: str) -> None:
    name = variable[len("NPC_LIMS_") :].lower()
    assert str(getattr(load(tmp_path, **{variable: value}), name)) == value


def test_all_unusable_values_are_named_at_once_and_none_is_shown(tmp_path: Path) -> None:
    dotenv(tmp_path, "NPC_LIMS_TTL=hunter2\n")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, NPC_LIMS_ATTEMPTS="hunter2")
    text = str(caught.value)
    assert "NPC_LIMS_TTL" in text
    assert "NPC_LIMS_ATTEMPTS" in text
    assert str(tmp_path / ".env") in text
    assert "hunter2" not in text
    assert caught.value.__cause__ is None


def test_the_nearest_dotenv_is_read(tmp_path: Path) -> None:
    dotenv(tmp_path, "NPC_LIMS_REF=far\nNPC_LIMS_TTL=5\n")
    dotenv(tmp_path / "a", "NPC_LIMS_REF=near\n")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    settings = load(tmp_path / "a" / "b" / "c")
    assert (settings.ref, settings.ttl) == ("near", 600)


@pytest.mark.parametrize("name", ["state", "cache_dir", "mirror", "training"])
def test_folders_of_a_dotenv_are_relative_to_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"NPC_LIMS_{name.upper()}"
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    absolute = str(tmp_path / "elsewhere")
    for value, expected in (
        ("data", str(tmp_path / "data")),
        ("../data", str(tmp_path.parent / "data")),
        (absolute, absolute),
    ):
        dotenv(tmp_path, f"{variable}='{value}'\n")
        assert str(getattr(load_settings({}), name)) == expected
        assert str(getattr(load_settings({variable: "data"}), name)) == "data", "of the environment: as it stands"
    monkeypatch.delenv(variable, raising=False)
    dotenv(tmp_path, f"{variable}=data\n")
    assert str(getattr(settings_for_reading(), name)) == str(tmp_path / "data")


def test_an_address_in_a_dotenv_stays_one(tmp_path: Path) -> None:
    dotenv(tmp_path, "NPC_LIMS_TRAINING=s3://lab/training/\n")
    assert load_settings({}, tmp_path).training == "s3://lab/training/"


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    dotenv(tmp_path, "NPC_LIMS_REF=file\nNPC_LIMS_REPO=file/file\n")
    settings = load(tmp_path, NPC_LIMS_REF="environment")
    assert (settings.ref, settings.repo) == ("environment", "file/file")


def test_a_variable_set_to_nothing_is_not_set(tmp_path: Path) -> None:
    settings = load(tmp_path, NPC_LIMS_STATE="", NPC_LIMS_TTL="", CODE_OCEAN_API_TOKEN="")
    assert values_of(settings) == values_of(Settings())


def test_dotenv_beside_nothing_and_without_values(tmp_path: Path) -> None:
    dotenv(tmp_path, "# a remark\nNPC_LIMS_REF\nexport NPC_LIMS_REPO='me/fork'\n")
    assert load(tmp_path).repo == "me/fork"


@pytest.mark.parametrize("name", ["repo", "ttl", "codeocean_token", "training"])
def test_a_variable_named_like_a_field_is_none_of_our_business(tmp_path: Path, name: str) -> None:
    assert values_of(load(tmp_path, **{name: "someone's own"})) == values_of(Settings())


# --- tokens --------------------------------------------------------------------------------------


def test_a_token_never_shows(tmp_path: Path) -> None:
    secrets = {
        "CODE_OCEAN_API_TOKEN": TOKEN,
        "GITHUB_TOKEN": "ghp_hunter2",
        "AWS_ACCESS_KEY_ID": "AKIAhunter2",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_SESSION_TOKEN": "hunter2",
    }
    settings = load(tmp_path, **secrets)
    shown = f"{settings} {settings!r} {values_of(settings)}"
    assert not any(secret in shown for secret in secrets.values())
    assert token_of(settings) == TOKEN


def test_a_code_ocean_token_under_another_name_is_found(tmp_path: Path) -> None:
    assert token_of(load(tmp_path, HOME="/home/me", MY_LAB_TOKEN=TOKEN)) == TOKEN
    dotenv(tmp_path, f"CODEOCEAN={TOKEN}\n")
    assert token_of(load(tmp_path)) == TOKEN


def test_a_token_under_its_own_name_wins(tmp_path: Path) -> None:
    assert token_of(load(tmp_path, AAA=TOKEN, CODE_OCEAN_API_TOKEN="other")) == "other"


def test_other_values_are_no_token(tmp_path: Path) -> None:
    assert token_of(load(tmp_path, A="copy", B="a cop_")) is None
