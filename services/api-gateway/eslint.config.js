// One configuration for all JavaScript of the workspace; `npm run lint` here runs it over every folder that has some.
import js from '@eslint/js'

const names = (list) => Object.fromEntries(list.split(' ').map((name) => [name, 'readonly']))
const both =
  'AbortSignal DOMException URL URLSearchParams clearTimeout console fetch performance setTimeout structuredClone'

export default [
  { ignores: ['**/node_modules/**'] },
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2024, sourceType: 'module', globals: names(`${both} Buffer process setImmediate`) },
    rules: {
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['services/api-gateway/src/page/**', 'tests/e2e/**'],
    languageOptions: { globals: names(`${both} document sessionStorage window`) },
  },
]
