"""Settings and caches."""

from pathlib import Path

import pytest

from gateway.cache import MemoryCache, RedisCache, key
from gateway.settings import Settings, read_settings


def test_lists_are_read_with_their_spaces(tmp_path: Path) -> None:
    """Servers and models are comma-separated; a secret comes from its file and is not shown."""
    secret = tmp_path / "cache-url"
    secret.write_text("redis://:secret@redis-cache/0\n")
    environ = {
        "LLM_SERVERS": "http://a:11434/, http://b:11434",
        "LLM_MODEL": "large",
        "LLM_FALLBACK_MODELS": "small,",
        "CACHE_URL_FILE": str(secret),
    }
    settings = read_settings(environ)
    assert settings == Settings(
        servers=("http://a:11434", "http://b:11434"),
        model="large",
        fallback_models=("small",),
        cache_url="redis://:secret@redis-cache/0",
    )
    assert settings.models == ("large", "small")
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("wrong", [{"LLM_SERVERS": "ollama:11434"}, {"LLM_TIMEOUT_S": "long"}])
def test_wrong_setting_names_its_variable(wrong: dict[str, str]) -> None:
    """The error names the variable and shows what is wrong with it."""
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: '{next(iter(wrong.values()))}' is not"):
        read_settings(wrong)


def test_key_is_of_the_question_not_of_its_spelling() -> None:
    """The order of the parameters and who asks do not matter; the model and the words do."""
    question = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
    same = {"user": "me", "temperature": 0, "messages": question["messages"]}
    assert key(question, "large") == key(same, "large") is not None
    assert key(question, "large") != key(question, "small")
    assert key(question | {"max_tokens": 5}, "large") != key(question, "large")


@pytest.mark.anyio
async def test_memory_forgets_the_oldest() -> None:
    """The cache in memory does not grow without end."""
    cache = MemoryCache()
    for number in range(600):
        await cache.put(str(number), b"answer")
        assert await cache.get("0") == b"answer"
    assert await cache.get("1") is None


@pytest.mark.anyio
async def test_redis_that_is_down_is_a_cache_that_is_empty() -> None:
    """Nothing fails for want of a cache."""
    cache = RedisCache("redis://127.0.0.1:1/0", ttl_s=60)
    await cache.put("key", b"answer")
    assert await cache.get("key") is None
