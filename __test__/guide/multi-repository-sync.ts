// Sync across multiple repositories
const repos = ['design-team', 'dev-team', 'qa-team'];
for (const repo of repos) {
  await service.syncRepository(repo);
}
